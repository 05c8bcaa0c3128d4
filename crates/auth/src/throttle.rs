//! Failed attempts by address. Each process counts in memory, so that letting somebody in costs nothing; a failure is also
//! counted in the database, so that processes that share it share the limit.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bson::doc;
use mongodb::options::ReturnDocument;
use parking_lot::Mutex;

use crate::accounts::Name;
use crate::{Accounts, AuthError, Caller};

/// Addresses remembered at once; the ones whose window ended are forgotten first.
const ADDRESSES_MAX: usize = 100_000;

/// Failures of addresses within the present window of each.
pub(crate) struct Throttle {
    failures_max: u32,
    window: Duration,
    addresses: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// Number of the window since 1970; windows are the same for all processes.
    window: u64,
}

impl Throttle {
    pub fn new(failures_max: u32, window: Duration) -> Self {
        Self { failures_max, window: window.max(Duration::from_secs(1)), addresses: Mutex::default() }
    }

    fn window_at(&self, now: SystemTime) -> u64 {
        now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / self.window.as_secs()
    }

    fn end_of(&self, window: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(window.saturating_add(1).saturating_mul(self.window.as_secs()))
    }

    fn check(&self, address: IpAddr, now: SystemTime) -> Result<(), AuthError> {
        let window = self.window_at(now);
        let failures = self.addresses.lock().get(&address).copied();
        match failures {
            Some(failures) if failures.window == window && failures.count >= self.failures_max => {
                let retry_after = self.end_of(window).duration_since(now).unwrap_or_default();
                Err(AuthError::TooManyFailures { retry_after })
            }
            _ => Ok(()),
        }
    }

    /// Raises the count, to what all processes together have counted where that is known.
    fn count(&self, address: IpAddr, now: SystemTime, of_all: Option<u32>) {
        let window = self.window_at(now);
        let mut addresses = self.addresses.lock();
        if addresses.len() >= ADDRESSES_MAX && !addresses.contains_key(&address) {
            addresses.retain(|_, failures| failures.window == window);
            if addresses.len() >= ADDRESSES_MAX {
                addresses.clear();
            }
        }
        let failures = addresses.entry(address).or_insert(Failures { count: 0, window });
        if failures.window != window {
            *failures = Failures { count: 0, window };
        }
        failures.count = match of_all {
            Some(count) => failures.count.max(count),
            None => failures.count.saturating_add(1),
        };
    }
}

impl Accounts {
    /// Whether an attempt from this address is looked at.
    ///
    /// # Errors
    /// `TooManyFailures`.
    pub(crate) fn check_throttle(&self, caller: &Caller<'_>) -> Result<(), AuthError> {
        match caller.address {
            Some(address) => self.throttle().check(prefix(address), self.settings().clock.now()),
            None => Ok(()),
        }
    }

    /// Counts what went wrong against the address, if it is something that guessing would bring about; gives the result
    /// back.
    pub(crate) async fn counted<T>(&self, caller: &Caller<'_>, result: Result<T, AuthError>) -> Result<T, AuthError> {
        if let (Err(error), Some(address)) = (&result, caller.address)
            && is_guess(error)
        {
            let address = prefix(address);
            let now = self.settings().clock.now();
            self.throttle().count(address, now, None);
            match self.count_for_all(address, now).await {
                Ok(count) => self.throttle().count(address, now, Some(count)),
                Err(error) => tracing::warn!(%error, "a failed attempt could not be counted for other processes"),
            }
        }
        result
    }

    async fn count_for_all(&self, address: IpAddr, now: SystemTime) -> Result<u32, AuthError> {
        let window = self.throttle().window_at(now);
        let expires = bson::DateTime::from_system_time(self.throttle().end_of(window));
        let failures = self.collection(Name::LoginFailures).await?;
        let counted = failures
            .find_one_and_update(
                doc! { "_id": format!("{address} {window}") },
                doc! { "$inc": { "count": 1 }, "$set": { "expires": expires } },
            )
            .upsert(true)
            .return_document(ReturnDocument::After)
            .await?;
        let count = counted.and_then(|document| document.get_i32("count").ok()).unwrap_or(1);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Failures that somebody who guesses passwords, keys, tokens or addresses would collect.
fn is_guess(error: &AuthError) -> bool {
    matches!(
        error,
        AuthError::InvalidPassword
            | AuthError::InvalidApiKey { .. }
            | AuthError::TokenRefused { .. }
            | AuthError::FunctionRefused(_)
            | AuthError::InvalidTokenData
            | AuthError::TokenExpiredOrInvalid
            | AuthError::UserNotFound
            | AuthError::NameInUse
            | AuthError::ResetFailed { .. }
    )
}

/// One customer of an IPv6 provider has at least 2^64 addresses.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_let_in_again_when_its_window_ends() {
        let throttle = Throttle::new(3, Duration::from_secs(60));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let start = UNIX_EPOCH + Duration::from_secs(6_000);
        for _ in 0..3 {
            throttle.check(address, start).expect("below the limit");
            throttle.count(address, start, None);
        }
        let late = start + Duration::from_secs(50);
        let Err(AuthError::TooManyFailures { retry_after }) = throttle.check(address, late) else { panic!("refused") };
        assert_eq!(retry_after, Duration::from_secs(10));
        throttle.check("192.0.2.2".parse().unwrap(), late).expect("another address");
        throttle.check(address, start + Duration::from_secs(60)).expect("the next window");
    }

    #[test]
    fn what_other_processes_counted_counts() {
        let throttle = Throttle::new(3, Duration::from_secs(60));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        throttle.count(address, UNIX_EPOCH, Some(3));
        assert!(throttle.check(address, UNIX_EPOCH).is_err());
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let same = |a: &str, b: &str| prefix(a.parse().unwrap()) == prefix(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
