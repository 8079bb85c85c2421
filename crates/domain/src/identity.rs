//! Whom OpenID Connect providers know: which user an issuer's subject is, and the memberships that groups give.
//!
//! What is given by a group is given by the operator, who wrote the mapping: the commands need `Operate`, as the system has
//! it. What is taken away goes by the commands of [`crate::member`], like everything that is taken away.

use async_trait::async_trait;

use crate::{
    audit::FieldChange,
    ids::{UserId, WorkspaceId},
    permission::Role,
    principal::User,
    store::StoreError,
};

/// Somebody as a provider knows them. The subject may tell who they are: it is kept as a keyed digest only.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalIdentity {
    /// The provider's issuer identifier.
    pub issuer: String,
    /// The person, for this issuer, forever.
    pub subject: String,
}

impl core::fmt::Debug for ExternalIdentity {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("ExternalIdentity").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// A change of whom providers know. Needs `Operate` on the installation.
#[derive(Clone, Debug)]
pub enum IdentityCommand {
    /// From now on, `identity` is a user who exists.
    Link {
        /// The user.
        user: UserId,
        /// Whom the provider names.
        identity: ExternalIdentity,
    },
    /// A new user, whom a provider knows. Nobody else may have the address.
    Create {
        /// The user.
        user: User,
        /// Whom the provider names.
        identity: ExternalIdentity,
    },
    /// A user becomes a member of a workspace. Nothing changes for whoever is one.
    Join {
        /// The user.
        user: UserId,
        /// The workspace.
        workspace: WorkspaceId,
        /// The role there.
        role: Role,
    },
}

/// Why a change of whom providers know is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is no such user.
    #[error("there is no such user")]
    NoUser,
    /// The identity belongs to somebody already.
    #[error("somebody signs in with this identity already")]
    Taken,
}

/// The field of an audit entry that says by which issuer somebody is known. It tells nothing of the person.
pub fn linked_field(identity: &ExternalIdentity) -> FieldChange {
    FieldChange { field: "issuer".to_owned(), before: None, after: Some(identity.issuer.clone()) }
}

/// The questions about whom providers know.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// The user that `identity` is, if it was linked and the user was not erased.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn user_of(&self, identity: ExternalIdentity) -> Result<Option<User>, StoreError>;
}
