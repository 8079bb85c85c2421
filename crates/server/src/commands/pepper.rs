//! `keywright pepper`: rotate the secrets under which digests of keys are stored.

use std::{io::Write as _, path::PathBuf};

use clap::Subcommand;

use crate::{
    failure::{Exit, Failure},
    installation::{DataDirectory, peppers},
    system::{SystemClock, SystemEntropy},
};

/// Rotate the peppers under which keys are stored.
#[derive(Debug, Subcommand)]
pub(crate) enum PepperCommand {
    /// Add a pepper; the next start stores new keys under it, and known keys as they are used
    #[command(after_help = "\
Keys go on working: each is checked under the pepper that it was stored under, and stored under the new one the next
time it is used. The older pepper stays in the file.

Example:
  keywright pepper rotate --data /var/lib/keywright && systemctl restart keywright")]
    Rotate {
        /// The data directory
        #[arg(long, value_name = "DIR", env = "KEYWRIGHT_DATA_DIR", default_value = "keywright-data")]
        data: PathBuf,
    },
}

impl PepperCommand {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self::Rotate { data } = self;
        let directory = DataDirectory::open(&data)?;
        let now = keywright_domain::time::Clock::now(&SystemClock);
        let version = peppers::rotate(&directory, now, &SystemEntropy)?;
        writeln!(
            std::io::stdout().lock(),
            "Added pepper version {version} to {}. Restart the server to use it; copy the file to where you keep its copies.",
            directory.peppers().display()
        )
        .map_err(|error| Failure::new(Exit::Io, format!("cannot write to standard output: {error}")))
    }
}
