//! Moving an installation from one store to another: every table as an ordered stream of rows.
//!
//! A [`TransferSource`] gives its rows in key order, a [`TransferTarget`] keeps them piece by piece, each piece in one
//! transaction with the place where it ends. So a transfer that was interrupted anywhere goes on where it was. When all
//! is copied, both sides are read anew and compared, row by row in digests. Only then the target may be used, and from
//! then on the source must not be.
//!
//! [`run`] is the whole transfer. It performs no I/O itself.

mod row;
mod run;
mod tables;

use std::fmt;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

pub use self::{
    row::{Row, Unreadable, Value},
    run::{Moved, Progress, Report, TableReport, run},
    tables::{
        Column, DERIVED_COLUMNS, KEPT_BY_PURGE, Kind, PURGED_BY_KEY, PURGED_BY_WORKSPACE, STAYING_TABLES,
        TABLES, Table,
    },
};
use crate::{store::StoreError, time::Timestamp};

/// Most rows in one piece.
pub const PIECE_ROWS: usize = 8_192;
/// A piece ends with the row that brings it to so many bytes.
pub const PIECE_BYTES: usize = 8 * 1_024 * 1_024;

/// The table that is in the target as long as a transfer into it is not finished: whoever finds it must not serve.
pub const UNFINISHED_TABLE: &str = "unfinished_transfer";
/// What it is called afterwards.
pub const FINISHED_TABLE: &str = "finished_transfer";
/// The table that is in the source once its installation is elsewhere: whoever finds it must not serve.
pub const MOVED_TABLE: &str = "moved_away";

/// Which installation, in which state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The hash of the first audit entry: no two installations share it.
    pub installation: [u8; 32],
    /// Stands for the state: the heads of change log and audit trail, checkpoints, and which usage was added.
    pub state: [u8; 32],
}

impl Identity {
    /// As a column.
    pub fn to_bytes(self) -> Vec<u8> {
        [self.installation, self.state].concat()
    }

    /// From a column.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (installation, state) = bytes.split_at_checked(32)?;
        Some(Self { installation: installation.try_into().ok()?, state: state.try_into().ok()? })
    }

    /// Reads it from a store; `None`: the installation was never set up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(reader: &mut (dyn RowReader + '_)) -> Result<Option<Self>, StoreError> {
        let first = reader.rows_after(Table::named("audit"), None).await?;
        let Some(Value::Blob(hash)) = first.first().and_then(|row| row.0.get(1)) else { return Ok(None) };
        let Ok(installation) = hash.as_slice().try_into() else {
            return Err(StoreError::Damaged("the hash of an audit entry is not 32 bytes long".to_owned()));
        };
        let mut state = Sha256::new();
        let mut encoded = Vec::new();
        for table in ["changes", "audit", "checkpoints"] {
            if let Some(row) = reader.last(Table::named(table)).await? {
                row.encode(&mut encoded);
            }
        }
        state.update(&encoded);
        state.update(run::digest(reader, Table::named("usage_batches"), &mut |_| {}).await?.sha256);
        Ok(Some(Self { installation, state: state.finalize().into() }))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({:02x?}…)", &self.installation[..4])
    }
}

/// How far a table was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumePoint {
    /// Number of rows so far.
    pub rows: u64,
    /// The last one's key; empty before the first.
    pub last: Row,
}

/// What a target has in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// A transfer that was begun and not finished, and of what.
    pub unfinished: Option<Identity>,
    /// A transfer that was finished, of what, and when.
    pub finished: Option<(Identity, Timestamp)>,
    /// Whether there is anything that a new installation has not.
    pub is_used: bool,
}

/// How a transfer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With nothing.
    New,
    /// Where the interrupted one was.
    Resumed,
    /// With nothing, because the source was changed since the interrupted one.
    Restarted,
    /// Not at all: it was finished then.
    Finished(Timestamp),
}

impl Beginning {
    /// What follows from what the target has in it. `moved`: where the source says that its installation went.
    ///
    /// # Errors
    /// [`TransferError`] when the target must not be touched.
    pub fn decide(found: &Found, source: &Identity, moved: Option<&str>) -> Result<Self, TransferError> {
        let beginning = match found {
            Found { unfinished: Some(known), .. } if known.installation != source.installation => {
                return Err(TransferError::OtherTransfer);
            }
            Found { unfinished: Some(known), .. } if known == source => Self::Resumed,
            Found { unfinished: Some(_), .. } => Self::Restarted,
            Found { finished: Some((known, at)), .. } if known == source => Self::Finished(*at),
            Found { finished: Some((known, _)), .. } if known.installation == source.installation => {
                return Err(TransferError::ChangedSince);
            }
            Found { finished: Some(_), .. } | Found { is_used: true, .. } => return Err(TransferError::Used),
            Found { .. } => Self::New,
        };
        match (beginning, moved) {
            (Self::Finished(_), _) | (_, None) => Ok(beginning),
            (_, Some(place)) => Err(TransferError::MovedElsewhere(place.to_owned())),
        }
    }
}

/// Why a transfer ended early. Nothing in the source was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The source has no installation in it.
    #[error("the source was never set up: there is nothing to move")]
    NotSetUp,
    /// Processes use the source.
    #[error("the source is in use by {}: stop {}", .0.join(", "), if .0.len() == 1 { "it" } else { "them" })]
    InUse(Vec<String>),
    /// The target has another installation, or one that is not from this source.
    #[error("the target has an installation in it already: name an empty one")]
    Used,
    /// The target has the unfinished transfer of another installation.
    #[error(
        "the target has an unfinished transfer of another installation: continue that one, or name an empty target"
    )]
    OtherTransfer,
    /// The transfer was finished, and the source was served afterwards.
    #[error(
        "the transfer was finished before, and the source was changed since then: the target does not have these changes"
    )]
    ChangedSince,
    /// The source's installation went elsewhere.
    #[error("the source was moved to {0} before: that is where the installation is now")]
    MovedElsewhere(String),
    /// The two sides differ. The next run begins anew.
    #[error(
        "the copy of table {table} differs from the source ({source_rows} rows there, {target_rows} here): run the command again, it begins anew"
    )]
    Differs {
        /// The table.
        table: &'static str,
        /// Rows of the source.
        source_rows: u64,
        /// Rows of the target.
        target_rows: u64,
    },
    /// The audit chain is broken, in the source too.
    #[error(
        "the audit trail is broken at entry {0}, in the source as in the copy: see `keywright audit verify`"
    )]
    BrokenChain(u64),
    /// The source cannot be read.
    #[error("reading the source: {0}")]
    Source(StoreError),
    /// The target cannot be written or read. What was written stays: the next run goes on there.
    #[error("writing the target: {0}")]
    Target(StoreError),
}

/// A store as ordered rows.
#[async_trait]
pub trait RowReader: Send {
    /// The rows whose key is after `after` (`None`: from the first), in the order of keys, at most [`PIECE_ROWS`] and
    /// about [`PIECE_BYTES`]. None: there are no more.
    ///
    /// # Errors
    /// [`StoreError`], as with all methods.
    async fn rows_after(
        &mut self,
        table: &'static Table,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError>;

    /// The last row in the order of keys.
    async fn last(&mut self, table: &'static Table) -> Result<Option<Row>, StoreError>;
}

/// Where an installation is moved from.
#[async_trait]
pub trait TransferSource: RowReader {
    /// Keeps everybody else from changing the source, until this value is dropped.
    ///
    /// # Errors
    /// [`TransferError::InUse`] or [`TransferError::Source`].
    async fn hold(&mut self) -> Result<(), TransferError>;

    /// How many rows a table has.
    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError>;

    /// Where the installation was moved to before, if it was.
    async fn moved(&mut self) -> Result<Option<String>, StoreError>;

    /// Notes that the installation is at `place` now: from then on the source cannot be served.
    async fn mark_moved(&mut self, place: &str, now: Timestamp) -> Result<(), StoreError>;
}

/// Where an installation is moved to.
#[async_trait]
pub trait TransferTarget: RowReader {
    /// Looks what is there.
    async fn inspect(&mut self) -> Result<Found, StoreError>;

    /// Empties all tables and marks the target as unfinished, for a transfer of `source` that begins with nothing.
    async fn begin(&mut self, source: &Identity, now: Timestamp) -> Result<(), StoreError>;

    /// How far a table was copied.
    async fn resume_point(&mut self, table: &'static Table) -> Result<ResumePoint, StoreError>;

    /// Adds rows and notes that the table is copied up to `point`: one transaction.
    async fn write(
        &mut self,
        table: &'static Table,
        rows: Vec<Row>,
        point: ResumePoint,
    ) -> Result<(), StoreError>;

    /// Forgets of which state the unfinished transfer is, so that the next one begins with nothing.
    async fn discard(&mut self) -> Result<(), StoreError>;

    /// Sets what the store counts by itself, and makes it one that can be served. One transaction.
    async fn finish(&mut self, now: Timestamp) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests;
