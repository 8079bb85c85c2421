//! Keywright's embedded database: SQLite with one writer thread, group commit and an exclusive data directory.
//!
//! * **One writer.** Commands from all callers go to one thread. It takes all that wait, runs each so that
//!   it fails alone, and commits them together with `synchronous=FULL`: one flush of the disk for many callers, and a caller who is alone
//!   does not wait for others. An answer means that the change is on disk and that the attached
//!   [`ChangeSink`](keywright_domain::change::ChangeSink) has seen it.
//! * **Readers.** A few threads with connections of their own answer questions, each from one snapshot. No executor is
//!   needed: whoever asks waits for a message.
//! * **Rules.** The domain decides; here is only what it takes to load and keep.
//!
//! Files in the data directory: `keywright.db` (and `-wal`, `-shm` beside it while it is open), and `lock`, which the
//! owning process keeps locked and in which it writes its process id.

mod accounts;
mod backup;
mod credits;
mod fault;
mod identities;
mod known;
mod migrate;
mod open;
mod privacy;
mod prompts;
mod read;
mod readers;
mod rows;
mod sealing;
mod sql;
mod store;
mod transfer;
mod writer;

pub use open::{DATABASE_FILE, LOCK_FILE, OpenError, Options};
pub use sealing::has_sealed;
pub use store::{Access, SqliteStore};
pub use transfer::{SqliteSource, SqliteTarget};
