//! The data directory: its lock, its database, and the connections to it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use keywright_domain::{store::StoreError, vault::VaultError};
use rusqlite::{Connection, ErrorCode, OpenFlags, functions::FunctionFlags};
use rustix::fs::{FlockOperation, flock};

use crate::fault;

/// The database's file in the data directory.
pub const DATABASE_FILE: &str = "keywright.db";
/// The file in the data directory that the owning process keeps locked.
pub const LOCK_FILE: &str = "lock";

/// How often the lock is tried again before the directory counts as in use, and how long after each try.
const LOCK_TRIES: u32 = 25;
const LOCK_REST: Duration = Duration::from_millis(20);

/// Choices of whoever opens the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Page cache of the writing connection, in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each reading connection, in KiB.
    pub reader_cache_kib: u32,
    /// Number of reading connections.
    pub readers: usize,
    /// Size of the write-ahead log, in pages of 4 KiB, at which it is copied into the database.
    pub checkpoint_pages: u32,
    /// Most commands in one transaction.
    pub group_max: usize,
    /// Most writes, and most questions, that may wait; more are refused with [`StoreError::Unavailable`].
    pub queue_max: usize,
    /// Largest size of the database, in pages of 4 KiB; `None`: the disk decides.
    pub max_pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            writer_cache_kib: 8 * 1_024,
            reader_cache_kib: 1_024,
            readers: 2,
            checkpoint_pages: 4_096,
            group_max: 512,
            queue_max: 8_192,
            max_pages: None,
        }
    }
}

/// Why a store cannot be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns the directory.
    #[error(
        "the data directory {} is in use by process {}: stop it, or choose another directory",
        directory.display(),
        pid.as_deref().unwrap_or("(unknown)")
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// What the lock file says of its owner.
        pid: Option<String>,
    },
    /// The directory cannot be used.
    #[error("the data directory {} cannot be used: {error}; check that it exists and that this user may write it", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A newer Keywright wrote the database.
    #[error(
        "the database has schema version {found}, this program knows {known}: run the newer program that wrote it"
    )]
    Newer {
        /// The database's version.
        found: usize,
        /// The newest version known.
        known: usize,
    },
    /// An older Keywright wrote the database, and here its schema is not brought up to date.
    #[error(
        "the database has schema version {found}, this program knows {known}: serve it once with this program, then stop it"
    )]
    Older {
        /// The database's version.
        found: usize,
        /// The newest version known.
        known: usize,
    },
    /// A transfer into the database is not finished.
    #[error(
        "a transfer into this database is not finished: run the same `keywright migrate` again, which goes on where it was"
    )]
    UnfinishedTransfer,
    /// The installation is elsewhere now.
    #[error("this installation was moved to {place}: serve that one; what is here is as it was then")]
    MovedAway {
        /// Where it is.
        place: String,
    },
    /// Another program wrote the database.
    #[error(
        "the database belongs to another program (application id {application_id:#x}): choose another directory"
    )]
    NotKeywright {
        /// What the database says.
        application_id: i32,
    },
    /// A migration that was applied is not the one this program knows.
    #[error(
        "the migration {0} of this database differs from the one in this program: run the program that wrote it"
    )]
    MigrationChanged(String),
    /// The database cannot be read.
    #[error("the database is damaged: {0}; restore the latest backup with `keywright restore`")]
    Damaged(String),
    /// The key-encryption keys do not fit.
    #[error("{0}")]
    Vault(VaultError),
    /// Personal data lies in the clear.
    #[error(
        "personal data in this database is not sealed yet: serve it once with this program, then stop it"
    )]
    Unsealed,
    /// Anything else.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(text) => Self::Damaged(text),
            other => Self::Store(other),
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        fault::store_error(&error).into()
    }
}

/// Creates the directory, for its owner only, if it is missing.
pub(crate) fn prepare_directory(directory: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| OpenError::Directory { directory: directory.to_owned(), error })
}

/// Takes the directory for this process, for as long as the file is open.
pub(crate) fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |error| OpenError::Directory { directory: directory.to_owned(), error };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(LOCK_FILE))
        .map_err(failed)?;
    match lock_patiently(&file) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let pid = known.then(|| pid.trim().to_owned());
            return Err(OpenError::Locked { directory: directory.to_owned(), pid });
        }
        Err(error) => return Err(failed(error.into())),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// Takes the exclusive lock; waits a moment for an owner that is just ending.
///
/// A lock belongs to the open file, and a child between `fork` and `exec` holds a copy of it: for some milliseconds after
/// its owner closed it, it may still be taken.
fn lock_patiently(file: &File) -> rustix::io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_REST),
            answer => return answer,
        }
    }
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Opens the writing connection to the database in `directory`.
pub(crate) fn writer(directory: &Path, options: &Options) -> Result<Connection, OpenError> {
    let path = directory.join(DATABASE_FILE);
    let is_new = !path.exists();
    let connection = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | NO_MUTEX,
    )?;
    if is_new {
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        fs::set_permissions(&path, mode)
            .map_err(|error| OpenError::Directory { directory: directory.to_owned(), error })?;
    }
    configure(&connection, options.writer_cache_kib)?;
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if journal != "wal" {
        return Err(
            StoreError::Internal(format!("the file system allows journal mode {journal} only")).into()
        );
    }
    // What is deleted is overwritten: erased data must not stay in unused parts of the file.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", options.checkpoint_pages)?;
    connection.pragma_update(None, "journal_size_limit", i64::from(options.checkpoint_pages) * 2 * 4_096)?;
    if let Some(pages) = options.max_pages {
        limit_pages(&connection, pages)?;
    }
    Ok(connection)
}

/// Lets the database grow to `pages` and no further.
pub(crate) fn limit_pages(connection: &Connection, pages: u32) -> Result<(), rusqlite::Error> {
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

/// Opens a connection that only reads the database in `directory`.
pub(crate) fn reader(directory: &Path, cache_kib: u32) -> Result<Connection, OpenError> {
    let path = directory.join(DATABASE_FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)?;
    configure(&connection, cache_kib)?;
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        // The shared memory beside the database cannot be created: a read-only copy. Nobody writes it then.
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
            ) =>
        {
            let address = format!("file:{}?immutable=1", percent_encoded(&path));
            let connection = Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_URI)?;
            configure(&connection, cache_kib)?;
            Ok(connection)
        }
        Err(error) => Err(error.into()),
        Ok(()) => Ok(connection),
    }
}

fn percent_encoded(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// Opens a database in memory, which lives as long as its connection.
pub(crate) fn memory() -> Result<Connection, OpenError> {
    let connection = Connection::open_in_memory_with_flags(OpenFlags::SQLITE_OPEN_READ_WRITE | NO_MUTEX)?;
    configure(&connection, 8 * 1_024)?;
    Ok(connection)
}

/// Each connection belongs to one thread at a time.
const NO_MUTEX: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX;

fn configure(connection: &Connection, cache_kib: u32) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.create_scalar_function(
        "contains_ignoring_case",
        2,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |arguments| {
            // The second argument is in lower case already.
            let text: String = arguments.get(0)?;
            let part: String = arguments.get(1)?;
            Ok(text.to_lowercase().contains(&part))
        },
    )
}
