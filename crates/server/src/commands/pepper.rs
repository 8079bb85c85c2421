//! `keywright pepper`: rotate the secrets under which digests of keys are stored.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use keywright_domain::{change::Change, store::Store as _, time::Clock as _};
use keywright_store_sqlite::SqliteStore;
use parking_lot::Mutex;

use super::print;
use crate::{
    failure::Failure,
    installation::{DataDirectory, explain_open, explain_store, peppers},
    serving::block_on,
    system::{SystemClock, SystemEntropy},
};

/// Rotate the peppers under which keys are stored.
#[derive(Debug, Subcommand)]
pub(crate) enum PepperCommand {
    /// Add a pepper; the next start stores new keys under it, and known keys as they are used
    #[command(after_help = "\
Keys go on working: each is checked under the pepper that it was stored under, and stored under the new one the next
time it is used. The older pepper stays in the file as long as `keywright pepper status` counts secrets under it.

Example:
  keywright pepper rotate --data /var/lib/keywright && systemctl restart keywright")]
    Rotate(Data),
    /// Count the secrets under each pepper; works while a server runs
    #[command(after_help = "\
Example:
  keywright pepper status --data /var/lib/keywright")]
    Status(Data),
}

/// Which installation.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The data directory
    #[arg(long, value_name = "DIR", env = "KEYWRIGHT_DATA_DIR", default_value = "keywright-data")]
    data: PathBuf,
}

impl PepperCommand {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Rotate(Data { data }) => rotate(&data),
            Self::Status(Data { data }) => block_on(status(&data)),
        }
    }
}

fn rotate(data: &Path) -> Result<(), Failure> {
    let directory = DataDirectory::open(data)?;
    let version = peppers::rotate(&directory, SystemClock.now(), &SystemEntropy)?;
    print(&format!(
        "Added pepper version {version} to {}. Restart the server to use it; copy the file to where you keep its copies.\n",
        directory.peppers().display()
    ))
}

async fn status(data: &Path) -> Result<(), Failure> {
    let directory = DataDirectory::open(data)?;
    let store = SqliteStore::open_read_only(directory.path(), None).map_err(explain_open)?;
    let counts = Arc::new(Mutex::new(BTreeMap::<u16, u64>::new()));
    let counted = Arc::clone(&counts);
    let count = move |change: Change| {
        let mut counts = counted.lock();
        let mut note = |version| *counts.entry(version).or_insert(0) += 1;
        match change {
            Change::Key(key) => key.secrets.iter().for_each(|secret| note(secret.digest.pepper)),
            Change::Operators(all) => all.iter().for_each(|operator| note(operator.secret.digest.pepper)),
            _ => {}
        }
    };
    store.load(Box::new(count)).await.map_err(|error| explain_store(&error))?;
    let lines = counts
        .lock()
        .iter()
        .map(|(version, count)| format!("version {version}: {count} secrets\n"))
        .collect::<Vec<_>>();
    print(&lines.concat())
}
