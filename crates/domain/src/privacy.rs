//! Rights over personal data: what a person may ask for, and what the installation does to keep its word.

use async_trait::async_trait;

use crate::{
    administration::Decided,
    audit::FieldChange,
    ids::UserId,
    key::Effect,
    principal::{Membership, User},
    store::StoreError,
    time::Timestamp,
    workspace::Slug,
};

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
    /// Erase a person: their memberships end, so that their keys stop; their data key, and what it sealed of them, is
    /// destroyed. Ids stay, in the audit trail too, and name nobody any more. Needs `Operate` on the installation.
    Erase {
        /// Who.
        user: UserId,
    },
}

/// Why a change that concerns personal data is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivacyError {
    /// There is no such person, or they were erased before.
    #[error("there is no such user")]
    NotFound,
}

/// Ends a membership of a person who is erased.
pub fn end_membership(before: &Membership, now: Timestamp) -> Decided<Membership> {
    Decided {
        value: Membership { ended_at: Some(now), ..before.clone() },
        effect: Effect::Restricting,
        action: "member.removed",
        fields: vec![FieldChange {
            field: "role".to_owned(),
            before: Some(before.role.as_str().to_owned()),
            after: None,
        }],
    }
}

/// What a change that concerns personal data brought about.
#[derive(Clone, Debug)]
pub enum PrivacyOutcome {
    /// Number of data keys that were wrapped anew.
    Rewrapped(u64),
    /// Number of memberships that ended with the person.
    Erased(u64),
}

/// The questions about personal data.
#[async_trait]
pub trait PrivacyStore: Send + Sync {
    /// A person; `None` also when they were erased.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn person(&self, who: Who) -> Result<Option<User>, StoreError>;

    /// The memberships of a person that have not ended, each with its workspace.
    async fn memberships_of_person(&self, user: UserId) -> Result<Vec<(Membership, Slug)>, StoreError>;
}
