//! Users and providers over a real connection: against the embedded store, and against a real deployment where
//! `SELVEDGE_TEST_MONGODB` names one.

mod accounts;
mod custom_token;
mod email;
mod fixture;
mod hostile;
mod oauth;
mod sessions;
mod users;
