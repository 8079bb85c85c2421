//! The commands that run or prepare an installation.

pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod dev;
pub(crate) mod init;
pub(crate) mod mail;
pub(crate) mod migrate;
pub(crate) mod pepper;
pub(crate) mod privacy;
pub(crate) mod serve;

use std::io::Write as _;

use crate::failure::{Exit, Failure};

/// Writes to standard output.
fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::new(Exit::Io, format!("cannot write to standard output: {error}")))
}
