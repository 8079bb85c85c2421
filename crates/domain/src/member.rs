//! Members of a workspace: their roles and permissions, how ownership passes on, how a membership ends and what becomes of
//! the keys then; and service accounts, which own keys without being a person.
//!
//! Whatever takes a right from a member takes it from the member's keys in the same moment: what a key may do is computed
//! from its creator's membership at each verification.

mod authority;
mod rules;
mod service_account;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use async_trait::async_trait;

pub use self::{
    authority::Authority,
    rules::{
        HandedOver, check_key_count, check_may_hand_over, end, hand_over, narrow, patch, switch,
        transfer_ownership,
    },
    service_account::{
        NewServiceAccount, ServiceAccount, ServiceAccountPatch, create_service_account, grant_to_account,
        patch_service_account,
    },
};
use crate::{
    caps,
    ids::{KeyId, ServiceAccountId, UserId, WorkspaceId},
    key::NewKey,
    permission::{PermissionSet, Role},
    permit::Action,
    principal::{Membership, MembershipNumber, Principal},
    query::Page,
    store::StoreError,
};

/// What to change of a membership. `None` leaves a field as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberPatch {
    /// New role. Permissions that were narrowed stay narrowed within the new role.
    pub role: Option<Role>,
    /// New permissions within the role; `Some(None)`: all of the role's.
    pub narrowed_to: Option<Option<PermissionSet>>,
}

/// Whether a service account may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It may.
    On,
    /// None of its keys is accepted.
    Off,
}

/// A change of the members of the workspace that the permit is for.
#[derive(Clone, Debug)]
pub enum MemberCommand {
    /// Change a member's role or permissions. Needs `WriteMembers`.
    Patch {
        /// Whose.
        user: UserId,
        /// What.
        patch: MemberPatch,
    },
    /// End a membership: its keys stop, or go to a service account. Needs `WriteMembers`.
    Remove {
        /// Whose.
        user: UserId,
        /// Who gets the keys.
        hand_over_to: Option<ServiceAccountId>,
        /// The reason given.
        reason: Option<String>,
    },
    /// End one's own membership. Needs `Leave`.
    Leave {
        /// Who gets the keys.
        hand_over_to: Option<ServiceAccountId>,
    },
    /// Make a member Owner, and the Owner who acts (or is named) Admin. Needs `WriteMembers`.
    TransferOwnership {
        /// The Owner who steps back; `None`: whoever acts.
        from: Option<UserId>,
        /// The next Owner.
        to: UserId,
    },
    /// Give a key to a service account. Needs `WriteKeys`.
    HandOverKey {
        /// The key.
        key: KeyId,
        /// Who gets it.
        to: ServiceAccountId,
    },
    /// Give all keys of a principal that are not revoked to a service account, also those of memberships that have ended.
    /// Needs `WriteKeys`.
    HandOverKeys {
        /// Whose keys.
        from: Principal,
        /// Who gets them.
        to: ServiceAccountId,
    },
    /// Create a key of a service account. Needs `WriteKeys`.
    CreateKeyFor {
        /// Whose key.
        account: ServiceAccountId,
        /// The key; its creator is set to the account.
        new: Box<NewKey>,
    },
    /// Create a service account. Needs `WriteMembers`, as everything below.
    CreateServiceAccount(Box<NewServiceAccount>),
    /// Change a service account.
    PatchServiceAccount {
        /// Which.
        account: ServiceAccountId,
        /// What.
        patch: Box<ServiceAccountPatch>,
    },
    /// Switch a service account, and with it all its keys, off or on.
    SwitchServiceAccount {
        /// Which.
        account: ServiceAccountId,
        /// Off or on.
        switch: Switch,
    },
    /// Delete a service account: its keys stop, or go to another one.
    DeleteServiceAccount {
        /// Which.
        account: ServiceAccountId,
        /// Who gets the keys.
        hand_over_to: Option<ServiceAccountId>,
    },
}

impl MemberCommand {
    /// What the caller must be permitted, on the workspace that the permit names.
    pub const fn needs(&self) -> Action {
        match self {
            Self::Leave { .. } => Action::Leave,
            Self::HandOverKey { .. } | Self::HandOverKeys { .. } | Self::CreateKeyFor { .. } => {
                Action::WriteKeys
            }
            Self::Patch { .. }
            | Self::Remove { .. }
            | Self::TransferOwnership { .. }
            | Self::CreateServiceAccount(_)
            | Self::PatchServiceAccount { .. }
            | Self::SwitchServiceAccount { .. }
            | Self::DeleteServiceAccount { .. } => Action::WriteMembers,
        }
    }

    /// Whether it is meant to take something away, so that also a repeat, which changes nothing, has to wait.
    pub const fn takes_away(&self) -> bool {
        match self {
            Self::Patch { .. }
            | Self::Remove { .. }
            | Self::Leave { .. }
            | Self::TransferOwnership { .. }
            | Self::HandOverKey { .. }
            | Self::HandOverKeys { .. }
            | Self::PatchServiceAccount { .. }
            | Self::SwitchServiceAccount { switch: Switch::Off, .. }
            | Self::DeleteServiceAccount { .. } => true,
            Self::CreateKeyFor { .. }
            | Self::CreateServiceAccount(_)
            | Self::SwitchServiceAccount { switch: Switch::On, .. } => false,
        }
    }
}

/// What became of the keys of a membership that ended, or of keys that were handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysMoved {
    /// Keys that are not accepted any more, because their creator's membership ended.
    pub stopped: u64,
    /// Keys that belong to the service account now.
    pub handed_over: u64,
    /// Those of them that may do less than before, and what they lost; at most [`caps::SHRUNK_KEYS_SHOWN`].
    pub shrunk: Vec<(KeyId, PermissionSet)>,
}

impl KeysMoved {
    /// Counts a key that was handed over.
    pub fn add(&mut self, done: &HandedOver) {
        self.handed_over += 1;
        if !done.lost.is_empty() && self.shrunk.len() < caps::SHRUNK_KEYS_SHOWN {
            self.shrunk.push((done.key.value.id, done.lost));
        }
    }
}

/// What a change of members brought about.
#[derive(Clone, Debug)]
pub enum MemberOutcome {
    /// A membership as it is now, and what became of its keys.
    Member(Box<Membership>, KeysMoved),
    /// The Owner who stepped back, and the next one.
    Transferred {
        /// Admin now.
        from: Box<Membership>,
        /// Owner now.
        to: Box<Membership>,
    },
    /// A service account with its membership, and what became of its keys.
    ServiceAccount(Box<ServiceAccount>, Box<Membership>, KeysMoved),
    /// Keys were handed over.
    Keys(KeysMoved),
}

/// Why a change of members is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// No such member.
    #[error("the workspace has no such member")]
    NotFound,
    /// No such service account.
    #[error("the workspace has no such service account")]
    NoServiceAccount,
    /// Whoever acts is no member any more.
    #[error("the caller is not a member of the workspace any more")]
    CallerLeft,
    /// The workspace would have no Owner.
    #[error(
        "the last Owner can neither leave, nor be removed, nor get another role; transfer ownership first"
    )]
    LastOwner,
    /// The role, or the member, is above whoever acts.
    #[error("only an Owner can make somebody Owner, or change or remove an Owner")]
    OwnerOnly,
    /// The caller would give away more than it has.
    #[error("nobody can give more than they have themselves")]
    Escalation(PermissionSet),
    /// Permissions beyond the role.
    #[error("the role does not have these permissions")]
    NotInRole(PermissionSet),
    /// An Owner's permissions were to be narrowed.
    #[error("an Owner has every permission; choose another role to narrow them")]
    OwnerIsWhole,
    /// A service account was to be Owner.
    #[error("a service account cannot be Owner: an Owner is a person who answers for the workspace")]
    OwnerIsAPerson,
    /// The one who is to step back is no Owner.
    #[error("only an Owner can hand over ownership")]
    NotOwner,
    /// The next Owner is one already.
    #[error("this member is an Owner already")]
    AlreadyOwner,
    /// The keys cannot go to a service account that is off.
    #[error("the service account is disabled: the keys would stop; enable it first")]
    AccountDisabled,
    /// The keys have this owner already.
    #[error("the keys belong to this service account already")]
    SameAccount,
    /// More keys than one call may hand over.
    #[error(
        "there are more than {} keys to hand over; hand some of them over one by one first",
        caps::HAND_OVER_MAX
    )]
    TooManyKeys,
    /// Another service account has this identity.
    #[error("another service account of the workspace has this e-mail")]
    EmailTaken,
    /// As many service accounts as there may be.
    #[error("the workspace has {} service accounts, as many as it may have", caps::SERVICE_ACCOUNTS_MAX)]
    TooMany,
    /// A field has a value out of range.
    #[error("{field}: {reason}")]
    Field {
        /// The field's name on the wire.
        field: &'static str,
        /// What is expected.
        reason: String,
    },
}

/// A question for a page of members, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberQuery {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The role; `None`: any.
    pub role: Option<Role>,
    /// Continue after this membership.
    pub after: Option<MembershipNumber>,
    /// Size of the page.
    pub limit: u32,
}

/// What is shown of a person to the other members.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Address the person signs in with.
    pub email: String,
    /// Name shown to others.
    pub name: String,
}

impl core::fmt::Debug for Person {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Person").finish_non_exhaustive()
    }
}

/// The questions about members and service accounts.
#[async_trait]
pub trait MemberStore: Send + Sync {
    /// The membership of a principal that has not ended.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn membership(
        &self,
        workspace: WorkspaceId,
        principal: Principal,
    ) -> Result<Option<Membership>, StoreError>;

    /// A page of the people who are members.
    async fn members(&self, query: MemberQuery) -> Result<Page<Membership>, StoreError>;

    /// Names and addresses of people; those who are not there any more are left out.
    async fn people(&self, users: Vec<UserId>) -> Result<HashMap<UserId, Person>, StoreError>;

    /// A service account that is not deleted, with its membership.
    async fn service_account(
        &self,
        workspace: WorkspaceId,
        account: ServiceAccountId,
    ) -> Result<Option<(ServiceAccount, Membership)>, StoreError>;

    /// A page of service accounts that are not deleted, with their memberships.
    async fn service_accounts(
        &self,
        query: MemberQuery,
    ) -> Result<Page<(ServiceAccount, Membership)>, StoreError>;
}
