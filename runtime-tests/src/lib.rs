//! The conformance runner: finds case folders, starts the real `selvedge` binary, replays requests over HTTP and
//! compares answers. Reading order: [`case`], [`server_process`], [`client`], [`matcher`],
//! [`variables`], [`upstream`], [`replay`], [`conformance`].

pub mod case;
pub mod client;
pub mod conformance;
pub mod matcher;
pub mod replay;
pub mod server_process;
pub mod upstream;
pub mod variables;
