//! `keywright privacy`: what concerns personal data, on the data directory.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keywright_domain::time::Clock as _;

use super::print;
use crate::{
    failure::Failure,
    installation::{DataDirectory, encryption_keys},
    system::{SystemClock, SystemEntropy},
};

/// Care for personal data.
#[derive(Debug, Subcommand)]
pub(crate) enum PrivacyCommand {
    /// Add a key-encryption key; the next start moves everything that is sealed to it
    #[command(after_help = "\
What people are called, where they get mail and where they called from is sealed in the database under data keys, and data
keys are wrapped by the key-encryption key. After this command and a restart, all data keys are wrapped anew within seconds;
what they seal need not be touched. Older versions stay in the file: backups may need them. When the metric
keywright_data_keys_rewrapped_total stands still and every backup that needs them is gone, remove them from the file.

Example:
  keywright privacy rekey --data /var/lib/keywright && systemctl restart keywright")]
    Rekey(Data),
}

/// Which installation.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The data directory
    #[arg(long, value_name = "DIR", env = "KEYWRIGHT_DATA_DIR", default_value = "keywright-data")]
    data: PathBuf,
}

impl PrivacyCommand {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Rekey(Data { data }) => rekey(&data),
        }
    }
}

fn rekey(data: &Path) -> Result<(), Failure> {
    let directory = DataDirectory::open(data)?;
    let version = encryption_keys::rotate(&directory, SystemClock.now(), &SystemEntropy)?;
    print(&format!(
        "Added key-encryption key version {version} to {}. Restart the server to use it; copy the file to where you keep its \
         copies.\n",
        directory.encryption_keys().display()
    ))
}
