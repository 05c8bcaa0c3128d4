//! The real binary over real sockets: what a client, an operator or a crash can do to it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, helpers included")]

mod attacks;
mod command_line;
mod fixture;
mod http;
mod life;
mod logs;
mod operator;
mod start;
