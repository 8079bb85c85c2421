//! Who acts: users, service accounts, and the memberships that tie them to workspaces.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{OperatorId, ServiceAccountId, UserId, WorkspaceId},
    permission::{PermissionSet, Role},
    time::Timestamp,
};

/// A user, a service account or the operator, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Principal {
    /// A person who signs in.
    User(UserId),
    /// Not a person; has an owning team and a purpose.
    ServiceAccount(ServiceAccountId),
    /// A credential of the installation's operator.
    Operator(OperatorId),
}

impl Principal {
    /// The kind's name on the wire.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::ServiceAccount(_) => "service_account",
            Self::Operator(_) => "operator",
        }
    }

    /// The id's text.
    pub fn id_text(self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::ServiceAccount(id) => id.to_string(),
            Self::Operator(id) => id.to_string(),
        }
    }
}

/// A membership's number in the store and its slot in the engine. Number 0 stands for the operator, who is a member
/// of no workspace and may do everything in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MembershipNumber(pub u32);

impl MembershipNumber {
    /// The operator.
    pub const OPERATOR: Self = Self(0);
}

/// A principal's place in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Number in the store; 0 until stored.
    pub number: MembershipNumber,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The member.
    pub principal: Principal,
    /// The role.
    pub role: Role,
    /// Permissions within the role, if they were narrowed.
    pub narrowed_to: Option<PermissionSet>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was switched off, if it is: only service accounts are.
    pub disabled_at: Option<Timestamp>,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
}

impl Membership {
    /// What the member may do now.
    pub fn permissions(&self) -> PermissionSet {
        if self.is_active() { self.rights() } else { PermissionSet::EMPTY }
    }

    /// What the role and the permissions within it allow, whether or not the membership is active.
    pub fn rights(&self) -> PermissionSet {
        self.role.permissions().intersection(self.narrowed_to.unwrap_or(PermissionSet::ALL))
    }

    /// Whether it has neither ended nor been switched off.
    pub const fn is_active(&self) -> bool {
        self.ended_at.is_none() && self.disabled_at.is_none()
    }
}

/// A person who signs in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// Address the person signs in with.
    pub email: String,
    /// Name shown to others.
    pub name: String,
    /// Argon2id hash of the password in PHC string format, if one is set.
    pub password_hash: Option<String>,
    /// When the user was created.
    pub created_at: Timestamp,
}

impl core::fmt::Debug for User {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The creator of a key: who, and which membership the key's permissions follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creator {
    /// Who created the key.
    pub principal: Principal,
    /// The membership whose permissions bound the key's.
    pub membership: MembershipNumber,
}
