//! A data directory, read beside whoever owns it.

use std::{fs::File, io, path::Path};

use keywright_domain::store::StoreError;
use keywright_store_sqlite::{DATABASE_FILE, SqliteStore};
use rustix::fs::{FlockOperation, flock};
use tokio::runtime::{Builder, Runtime};

use crate::{
    failure::{Exit, Failure},
    installation::{DataDirectory, EncryptionKeys},
};

/// Whether another process holds the lock of a data directory, whose file this is.
///
/// # Errors
/// Where the file system has no locks.
pub(crate) fn is_locked(lock: &File) -> io::Result<bool> {
    match flock(lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// A database opened for reading. A server may run on it meanwhile.
pub(crate) struct Offline {
    store: SqliteStore,
    runtime: Runtime,
}

impl Offline {
    /// Opens the database in `directory`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let database = directory.join(DATABASE_FILE);
        if !database.is_file() {
            return Err(Failure::new(Exit::Negative, format!("there is no database {}", database.display()))
                .remedy("Name the directory that holds keywright.db: the `data` of the configuration, or --data of `dev`."));
        }
        // Without the keys beside it, a database can be read all the same, but for personal data.
        let keys = DataDirectory::at(directory);
        let vault = EncryptionKeys::load(&keys, &[]).ok().map(EncryptionKeys::into_vault);
        let store = SqliteStore::open_read_only(directory, vault)
            .map_err(|error| Failure::new(Exit::Negative, error.to_string()))?;
        let runtime = Builder::new_current_thread()
            .build()
            .map_err(|error| Failure::new(Exit::Negative, format!("cannot start: {error}")))?;
        Ok(Self { store, runtime })
    }

    /// The store.
    pub(crate) fn store(&self) -> &SqliteStore {
        &self.store
    }

    /// Waits for an answer of the store.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn ask<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        self.runtime.block_on(question).map_err(|error| {
            let failure = Failure::new(Exit::Negative, error.to_string());
            match error {
                StoreError::Damaged(_) => failure.remedy(
                    "Keep the files as they are, and restore the latest backup into a new directory: keywright restore",
                ),
                StoreError::Full(_) => failure.remedy("Free some space on the file system."),
                _ => failure,
            }
        })
    }
}
