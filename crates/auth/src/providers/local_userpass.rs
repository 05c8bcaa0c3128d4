//! `local-userpass`: registration, confirmation and reset, each automatic, by a function of the app, or by mail
//! (rules-and-users 4.3). Passwords themselves are in `email_accounts.rs`.

use app_model::{App, AuthProvider, FunctionCall};
use bson::{Bson, Document, doc};

use super::config::{flag, text};
use crate::email_accounts::{StoredAccount, check_email};
use crate::email_tokens::{EmailPurpose, TokenPair};
use crate::password::check_new_password;
use crate::{Accounts, AuthError, Caller, Mail, SendMail};

/// `local-userpass`, ready for use.
pub(crate) struct LocalUserpass {
    confirmation: Confirmation,
    reset: Reset,
}

enum Confirmation {
    Automatic,
    Function(FunctionName),
    Mail(MailForm),
}

enum Reset {
    Function(FunctionName),
    Mail(MailForm),
}

/// A function's name, or why there is none.
type FunctionName = Result<String, String>;

/// What a mail says.
struct MailForm {
    /// Base of the link; without one no mail can be written.
    url: Option<String>,
    subject: String,
}

/// What a confirmation or reset function decided.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Success,
    Pending,
    /// With the reason, for the log.
    Fail(String),
}

/// Characters of a subject (rules-and-users 4.3).
const SUBJECT_CHARACTERS_MAX: usize = 256;

impl LocalUserpass {
    pub fn read(app: &App, provider: &AuthProvider) -> Result<Self, String> {
        let function = |name: &str| match text(provider, name) {
            Ok(Some(function)) if app.function(&function).is_some() => Ok(function),
            Ok(Some(function)) => Err(format!("config.{name} names '{function}', which is no function of the app")),
            Ok(None) => Err(format!("config.{name} is missing")),
            Err(reason) => Err(reason),
        };
        let mail = |url: &str, subject: &str, default: &str| -> Result<MailForm, String> {
            let subject = text(provider, subject)?.unwrap_or_else(|| default.to_owned());
            let subject = subject.chars().filter(|letter| !letter.is_control()).take(SUBJECT_CHARACTERS_MAX);
            Ok(MailForm { url: text(provider, url)?, subject: subject.collect() })
        };
        let confirmation = if flag(provider, "autoConfirm")? {
            Confirmation::Automatic
        } else if flag(provider, "runConfirmationFunction")? {
            Confirmation::Function(function("confirmationFunctionName"))
        } else {
            Confirmation::Mail(mail("emailConfirmationUrl", "confirmEmailSubject", "Confirm your email address")?)
        };
        let reset = if flag(provider, "runResetFunction")? {
            Reset::Function(function("resetFunctionName"))
        } else {
            Reset::Mail(mail("resetPasswordUrl", "resetPasswordSubject", "Reset your password")?)
        };
        Ok(Self { confirmation, reset })
    }

    /// Makes an account and has it confirmed.
    ///
    /// # Errors
    /// `InvalidEmail`, `PasswordLength`, `NameInUse`, `ConfirmationFailed`, `ProviderUnavailable`, `Busy`.
    pub async fn register(
        &self,
        accounts: &Accounts,
        mailer: Option<&dyn SendMail>,
        email: &str,
        password: &str,
        caller: &Caller<'_>,
    ) -> Result<StoredAccount, AuthError> {
        match &self.confirmation {
            Confirmation::Automatic => accounts.insert_email_account(email, password, true).await,
            Confirmation::Function(function) => {
                let function = usable(function)?;
                let mut stored = accounts.insert_email_account(email, password, false).await?;
                match self.run_confirmation(accounts, &stored, function, caller).await {
                    Ok(is_confirmed) => {
                        stored.account.is_confirmed = is_confirmed;
                        Ok(stored)
                    }
                    Err(error) => {
                        accounts.remove_email_account(stored.id).await?;
                        Err(error)
                    }
                }
            }
            Confirmation::Mail(form) => {
                let stored = accounts.insert_email_account(email, password, false).await?;
                // The account stands; its owner may ask for the mail again.
                if let Err(error) = send(accounts, mailer, form, &stored, EmailPurpose::Confirmation).await {
                    tracing::error!(app = accounts.client_app_id(), %error, "no confirmation mail for a new account");
                }
                Ok(stored)
            }
        }
    }

    /// Confirms the account a token was made for.
    ///
    /// # Errors
    /// `InvalidTokenData`, `TokenExpiredOrInvalid`, `AlreadyConfirmed`.
    pub async fn confirm(&self, accounts: &Accounts, token: &str, token_id: &str) -> Result<(), AuthError> {
        let account = accounts.use_email_token(token, token_id, EmailPurpose::Confirmation).await?;
        match accounts.confirm(account).await {
            Err(AuthError::UserNotFound) => Err(AuthError::TokenExpiredOrInvalid),
            other => other,
        }
    }

    /// Sends the mail of a registration again.
    ///
    /// # Errors
    /// `AutomaticConfirmation`, `UserNotFound`, `AlreadyConfirmed`, `MailFailed`, `ProviderUnavailable`.
    pub async fn send_confirmation(
        &self,
        accounts: &Accounts,
        mailer: Option<&dyn SendMail>,
        email: &str,
        caller: &Caller<'_>,
    ) -> Result<(), AuthError> {
        match &self.confirmation {
            Confirmation::Automatic => Err(AuthError::AutomaticConfirmation { email: bounded(email) }),
            // The platform's own SDKs ask for a mail where a function confirms, too.
            Confirmation::Function(_) => self.call_confirmation(accounts, email, caller).await,
            Confirmation::Mail(form) => {
                let stored = pending(accounts, email).await?;
                send(accounts, mailer, form, &stored, EmailPurpose::Confirmation).await
            }
        }
    }

    /// Runs the confirmation function again.
    ///
    /// # Errors
    /// `AutomaticConfirmation`, `NoConfirmationFunction`, `UserNotFound`, `AlreadyConfirmed`, `ConfirmationFailed`.
    pub async fn call_confirmation(
        &self,
        accounts: &Accounts,
        email: &str,
        caller: &Caller<'_>,
    ) -> Result<(), AuthError> {
        let function = match &self.confirmation {
            Confirmation::Automatic => return Err(AuthError::AutomaticConfirmation { email: bounded(email) }),
            Confirmation::Mail(_) => return Err(AuthError::NoConfirmationFunction),
            Confirmation::Function(function) => usable(function)?,
        };
        let stored = pending(accounts, email).await?;
        match self.run_confirmation(accounts, &stored, function, caller).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // As with a registration, `fail` removes the account.
                accounts.remove_email_account(stored.id).await?;
                Err(error)
            }
        }
    }

    /// Whether the account is confirmed now.
    async fn run_confirmation(
        &self,
        accounts: &Accounts,
        stored: &StoredAccount,
        function: &str,
        caller: &Caller<'_>,
    ) -> Result<bool, AuthError> {
        let pair = accounts.create_email_token(stored.id, EmailPurpose::Confirmation).await?;
        let input = doc! { "token": pair.token, "tokenId": pair.token_id, "username": &stored.account.email };
        match decide(caller, function, vec![input.into()]).await {
            Decision::Success => match accounts.confirm(stored.id).await {
                // The function may have confirmed it by other means.
                Ok(()) | Err(AuthError::AlreadyConfirmed) => Ok(true),
                Err(error) => Err(error),
            },
            Decision::Pending => Ok(false),
            Decision::Fail(cause) => Err(AuthError::ConfirmationFailed { email: stored.account.email.clone(), cause }),
        }
    }

    /// Sends the mail with which a password is reset.
    ///
    /// # Errors
    /// `UseResetFunction`, `UserNotFound`, `MailFailed`, `ProviderUnavailable`.
    pub async fn send_reset(
        &self,
        accounts: &Accounts,
        mailer: Option<&dyn SendMail>,
        email: &str,
    ) -> Result<(), AuthError> {
        match &self.reset {
            Reset::Function(_) => Err(AuthError::UseResetFunction),
            Reset::Mail(form) => {
                let stored = known(accounts, email).await?;
                send(accounts, mailer, form, &stored, EmailPurpose::Reset).await
            }
        }
    }

    /// Has the reset function decide.
    ///
    /// # Errors
    /// `NoResetFunction`, `PasswordLength`, `UserNotFound`, `ResetFailed`, `Busy`.
    pub async fn call_reset(
        &self,
        accounts: &Accounts,
        email: &str,
        password: &str,
        arguments: Vec<Bson>,
        caller: &Caller<'_>,
    ) -> Result<(), AuthError> {
        let function = match &self.reset {
            Reset::Mail(_) => return Err(AuthError::NoResetFunction),
            Reset::Function(function) => usable(function)?,
        };
        check_new_password(password)?;
        let stored = known(accounts, email).await?;
        let is_current = accounts.settings().hashing.verify(password, Some(&stored.password_hash)).await?;
        let pair = accounts.create_email_token(stored.id, EmailPurpose::Reset).await?;
        let input = doc! {
            "token": &pair.token,
            "tokenId": &pair.token_id,
            "username": &stored.account.email,
            "password": password,
            "currentPasswordValid": is_current,
        };
        let mut all: Vec<Bson> = vec![input.into()];
        all.extend(arguments);
        match decide(caller, function, all).await {
            Decision::Success => {
                // What the function was given for later is not needed any more.
                let _ = accounts.use_email_token(&pair.token, &pair.token_id, EmailPurpose::Reset).await;
                set_password(accounts, &stored, password).await
            }
            Decision::Pending => Ok(()),
            Decision::Fail(cause) => Err(AuthError::ResetFailed { email: stored.account.email, cause }),
        }
    }

    /// Sets a new password for the account a token was made for.
    ///
    /// # Errors
    /// `PasswordLength`, `InvalidTokenData`, `TokenExpiredOrInvalid`, `Busy`.
    pub async fn reset(
        &self,
        accounts: &Accounts,
        token: &str,
        token_id: &str,
        password: &str,
    ) -> Result<(), AuthError> {
        // Before the token is used up.
        check_new_password(password)?;
        let id = accounts.use_email_token(token, token_id, EmailPurpose::Reset).await?;
        let stored = accounts.find_email_account_by_id(id).await?.ok_or(AuthError::TokenExpiredOrInvalid)?;
        set_password(accounts, &stored, password).await
    }
}

/// Whoever knew the old password is logged out: a reset is what somebody does whose password is known to others.
async fn set_password(accounts: &Accounts, stored: &StoredAccount, password: &str) -> Result<(), AuthError> {
    accounts.set_password(stored.id, password).await?;
    if let Some(user) = accounts.find_user_of(&stored.identity()).await? {
        accounts.revoke_sessions(&user.user.id).await?;
    }
    Ok(())
}

async fn known(accounts: &Accounts, email: &str) -> Result<StoredAccount, AuthError> {
    check_email(email)?;
    accounts.find_email_account(email).await?.ok_or(AuthError::UserNotFound)
}

async fn pending(accounts: &Accounts, email: &str) -> Result<StoredAccount, AuthError> {
    let stored = known(accounts, email).await?;
    match stored.account.is_confirmed {
        true => Err(AuthError::AlreadyConfirmed),
        false => Ok(stored),
    }
}

fn usable(function: &FunctionName) -> Result<&str, AuthError> {
    function.as_deref().map_err(|reason| unavailable(reason))
}

fn unavailable(reason: &str) -> AuthError {
    AuthError::ProviderUnavailable { provider: "local-userpass".to_owned(), reason: reason.to_owned() }
}

/// A caller's text, short enough for an answer.
fn bounded(text: &str) -> String {
    text.chars().take(256).collect()
}

async fn decide(caller: &Caller<'_>, function: &str, arguments: Vec<Bson>) -> Decision {
    let call = FunctionCall { name: function.to_owned(), arguments, depth: 1 };
    match caller.functions.call_function(call).await {
        Ok(result) => read_decision(&result),
        Err(failure) => Decision::Fail(failure.message),
    }
}

fn read_decision(result: &Bson) -> Decision {
    let status = result.as_document().and_then(|result: &Document| result.get_str("status").ok());
    match status {
        Some("success") => Decision::Success,
        Some("pending") => Decision::Pending,
        Some("fail") => Decision::Fail("the function said so".to_owned()),
        _ => Decision::Fail("the function returned no status: success, pending or fail".to_owned()),
    }
}

/// Writes a mail with a link and hands it over; without a mailer it is kept for the operator.
async fn send(
    accounts: &Accounts,
    mailer: Option<&dyn SendMail>,
    form: &MailForm,
    stored: &StoredAccount,
    purpose: EmailPurpose,
) -> Result<(), AuthError> {
    let (setting, what) = match purpose {
        EmailPurpose::Confirmation => ("emailConfirmationUrl", "confirm your email address"),
        EmailPurpose::Reset => ("resetPasswordUrl", "choose a new password"),
    };
    let Some(url) = &form.url else {
        return Err(unavailable(&format!("config.{setting} is missing, so no mail can be written")));
    };
    let pair = accounts.create_email_token(stored.id, purpose).await?;
    let minutes = accounts.settings().email_token_lifetime.as_secs() / 60;
    let mail = Mail {
        to: stored.account.email.clone(),
        subject: form.subject.clone(),
        text: format!(
            "To {what}, open this link within {minutes} minutes:\n\n{}\n\nIf you did not ask for it, ignore this mail.\n",
            link(url, &pair)
        ),
    };
    match mailer {
        Some(mailer) => mailer.send_mail(mail).await.map_err(AuthError::MailFailed),
        None => {
            accounts.keep_mail(&mail).await?;
            let app = accounts.client_app_id();
            tracing::warn!(app, purpose = what, "no mailer is set: a mail lies in the outbox of the app's users");
            Ok(())
        }
    }
}

/// The base with the token pair behind it.
fn link(base: &str, pair: &TokenPair) -> String {
    let (base, fragment) = match base.split_once('#') {
        Some((base, fragment)) => (base, format!("#{fragment}")),
        None => (base, String::new()),
    };
    let joint = match base.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{base}{joint}token={}&tokenId={}{fragment}", pair.token, pair.token_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let pair = TokenPair { token: "T".into(), token_id: "I".into() };
        for (base, expected) in [
            ("https://a.b/c", "https://a.b/c?token=T&tokenId=I"),
            ("https://a.b/c?", "https://a.b/c?token=T&tokenId=I"),
            ("https://a.b/c?x=1", "https://a.b/c?x=1&token=T&tokenId=I"),
            ("https://a.b/#/confirm", "https://a.b/?token=T&tokenId=I#/confirm"),
        ] {
            assert_eq!(link(base, &pair), expected);
        }
    }

    #[test]
    fn decisions() {
        let check = |result: Bson| read_decision(&result);
        assert_eq!(check(Bson::Document(doc! { "status": "success" })), Decision::Success);
        assert_eq!(check(Bson::Document(doc! { "status": "pending" })), Decision::Pending);
        for result in [
            Bson::Document(doc! { "status": "fail" }),
            Bson::Document(doc! { "status": "Success" }),
            Bson::Document(doc! { "status": true }),
            Bson::Document(doc! {}),
            Bson::String("success".into()),
            Bson::Boolean(true),
            Bson::Undefined,
        ] {
            assert!(matches!(check(result.clone()), Decision::Fail(_)), "{result}");
        }
    }
}
