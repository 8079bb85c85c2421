//! Rights over personal data: what a person may ask for, and what the installation does to keep its word.

use async_trait::async_trait;

use crate::{ids::UserId, principal::User, store::StoreError};

/// A person, as others name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By id.
    Id(UserId),
    /// By the address that they sign in with, in upper or lower case.
    Email(String),
}

/// A change that concerns personal data.
#[derive(Clone, Debug)]
pub enum PrivacyCommand {
    /// Wrap data keys anew that are under older key-encryption keys, at most so many. Needs `Operate` on the installation.
    /// Not audited: nothing changes for anyone.
    Rewrap {
        /// How many at most.
        limit: u32,
    },
}

/// What a change that concerns personal data brought about.
#[derive(Clone, Debug)]
pub enum PrivacyOutcome {
    /// Number of data keys that were wrapped anew.
    Rewrapped(u64),
}

/// The questions about personal data.
#[async_trait]
pub trait PrivacyStore: Send + Sync {
    /// A person; `None` also when they were erased.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn person(&self, who: Who) -> Result<Option<User>, StoreError>;
}
