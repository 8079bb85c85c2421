//! The real binary, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod apply;
mod backup;
mod cli;
mod client;
mod cluster;
mod crash;
mod guide;
mod joining;
mod life;
mod mail;
mod mail_sink;
mod metrics;
mod migrate;
mod nodes;
mod process;
mod promise;
mod prompts;
mod protocol;
mod secrets;
mod shutdown;
mod slow;
mod start;
mod tls;
mod traces;
