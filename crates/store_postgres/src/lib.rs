//! Keywright's shared database: `PostgreSQL`, with one writer per process, group commit, and one row that all writers of
//! all nodes lock first.
//!
//! * **One order.** Every transaction that changes something begins by locking the only row of `head`. So commits have
//!   one order, the sequences of the change log and of the audit trail have no gaps, and the audit chain has one end.
//! * **One writer per process.** Commands from all callers go to one task. It takes all that wait, decides each by
//!   reading before it writes anything, sends the writes without waiting for their answers, and commits them together:
//!   about two round trips and one flush of the disk for many callers.
//! * **Nothing is remembered** from one transaction to the next: other nodes write, too.
//! * **What an error means.** Before the commit was sent, nothing was changed. After that, the writer connects again and
//!   looks whether the commit took place; only if that cannot be found out it answers
//!   [`StoreError::CommitUnknown`](keywright_domain::store::StoreError::CommitUnknown). A running commit is never
//!   cancelled, and a warning on one means that it is not durable.
//! * **Readers.** A few connections answer questions, many at a time on each.
//!
//! All connections are driven by one thread with a runtime of its own: callers may live in any runtime.

mod accounts;
mod announcement;
mod connect;
mod control;
mod credits;
mod durability;
mod fault;
mod identities;
mod lane;
mod limits;
mod migrate;
mod options;
mod privacy;
mod prompts;
mod read;
mod rows;
mod sealing;
mod sql;
mod store;
mod tls;
mod transfer;
mod usage;
mod writer;

pub use announcement::AnnouncementKey;
pub use connect::ConnectError;
pub use control::{Announcements, Overview, PostgresControl, SecretChecks};
pub use durability::{Durability, Promise};
pub use limits::PostgresLimits;
pub use options::{DatabaseUrl, PostgresOptions, Unflushed};
pub use store::PostgresStore;
pub use transfer::{PostgresSource, PostgresTarget, piece_statements};

/// How sessions have the server plan: for tests that look at plans.
#[doc(hidden)]
pub const fn planner_settings() -> &'static str {
    connect::PLANNER
}

/// Every SQL statement on the store's tables with its name: for tests that look at their plans.
#[doc(hidden)]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    sql::all().collect()
}
