//! `keywright config`: check a configuration, or print one that explains itself.

use std::path::PathBuf;

use clap::Subcommand;

use super::print;
use crate::{
    config::{Config, EXAMPLE},
    failure::Failure,
};

/// Check, show or explain the configuration of `serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read a configuration and the environment as `serve` would, and say what is wrong with it
    #[command(after_help = "Examples:\n  keywright config check /etc/keywright.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a configuration with every key, its default and what it means
    #[command(after_help = "Examples:\n  keywright config example > keywright.toml")]
    Example,
}

impl ConfigCommand {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Check { file } => {
                let config = Config::load(&file)?;
                print(&format!(
                    "{} is good: {} on {}, data in {}\n",
                    file.display(),
                    if config.tls.is_some() { "HTTPS" } else { "HTTP" },
                    config.listen.0,
                    config.data_dir.display()
                ))
            }
            Self::Example => print(EXAMPLE),
        }
    }
}
