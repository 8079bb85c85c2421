//! Who acts, and the proof that it may.
//!
//! Only [`authorize`] makes a [`Permit`]; every command carries one, so a store cannot be told to do anything that
//! nobody decided about.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{KeyId, OperatorId, WorkspaceId},
    permission::{Builtin, PermissionSet},
    principal::{Creator, MembershipNumber, Principal},
};

/// Who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A credential of the operator: acts on the whole installation.
    Operator(OperatorId),
    /// An API key: acts on its workspace, within its effective permissions.
    Key {
        /// The key.
        key: KeyId,
        /// Its workspace.
        workspace: WorkspaceId,
        /// Whose permissions it carries.
        creator: Creator,
        /// What it may do now.
        permissions: PermissionSet,
    },
    /// The installation itself: set-up and scheduled jobs.
    System,
}

/// The actor as the audit trail records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditActor {
    /// `operator`, `key` or `system`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id; none for the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// For a key: the principal who created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
}

impl Actor {
    /// How the audit trail records it.
    pub fn for_audit(&self) -> AuditActor {
        match self {
            Self::Operator(id) => {
                AuditActor { kind: "operator".to_owned(), id: Some(id.to_string()), principal: None }
            }
            Self::Key { key, creator, .. } => AuditActor {
                kind: "key".to_owned(),
                id: Some(key.to_string()),
                principal: Some(creator.principal),
            },
            Self::System => AuditActor { kind: "system".to_owned(), id: None, principal: None },
        }
    }

    /// Who counts as the creator of what this actor creates. `None` for the system.
    pub fn as_creator(&self) -> Option<Creator> {
        match self {
            Self::Operator(id) => {
                Some(Creator { principal: Principal::Operator(*id), membership: MembershipNumber::OPERATOR })
            }
            Self::Key { creator, .. } => Some(*creator),
            Self::System => None,
        }
    }

    /// A text that tells this actor from all others, for idempotency records.
    pub fn text(&self) -> String {
        match self {
            Self::Operator(id) => id.to_string(),
            Self::Key { key, .. } => key.to_string(),
            Self::System => "system".to_owned(),
        }
    }
}

/// What a call does, as far as permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// List and read keys.
    ReadKeys,
    /// Create and change keys.
    WriteKeys,
    /// Verify keys.
    VerifyKeys,
    /// Read the workspace.
    ReadWorkspace,
    /// Change the workspace.
    WriteWorkspace,
    /// Read members and service accounts.
    ReadMembers,
    /// Change and remove members and service accounts.
    WriteMembers,
    /// End one's own membership.
    Leave,
    /// Delete and restore the workspace.
    DeleteWorkspace,
    /// Read the audit trail.
    ReadAudit,
    /// Read usage statistics.
    ReadUsage,
    /// Create, change and publish prompts, and read their drafts.
    WritePrompts,
    /// Act on the installation: workspaces, plans, catalogue, operator credentials.
    Operate,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 13] = [
        Self::ReadKeys,
        Self::WriteKeys,
        Self::VerifyKeys,
        Self::ReadWorkspace,
        Self::WriteWorkspace,
        Self::ReadMembers,
        Self::WriteMembers,
        Self::Leave,
        Self::DeleteWorkspace,
        Self::ReadAudit,
        Self::ReadUsage,
        Self::WritePrompts,
        Self::Operate,
    ];

    /// The permission a workspace's key needs; `None` where only the operator may.
    pub const fn permission(self) -> Option<Builtin> {
        match self {
            Self::ReadKeys => Some(Builtin::KeysRead),
            Self::WriteKeys => Some(Builtin::KeysWrite),
            Self::VerifyKeys => Some(Builtin::KeysVerify),
            Self::ReadWorkspace => Some(Builtin::WorkspaceRead),
            Self::WriteWorkspace => Some(Builtin::WorkspaceWrite),
            Self::ReadMembers => Some(Builtin::MembersRead),
            Self::WriteMembers => Some(Builtin::MembersWrite),
            Self::DeleteWorkspace => Some(Builtin::WorkspaceDelete),
            Self::ReadAudit => Some(Builtin::AuditRead),
            Self::ReadUsage => Some(Builtin::UsageRead),
            Self::WritePrompts => Some(Builtin::PromptsWrite),
            Self::Leave | Self::Operate => None,
        }
    }
}

/// Why a call is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The caller may not even learn that the thing exists: answer as if it did not.
    #[error("not visible to the caller")]
    NotVisible,
    /// The caller lacks permissions.
    #[error("permissions are missing")]
    Missing(PermissionSet),
    /// Only an operator credential may do this.
    #[error("an operator credential is needed")]
    OperatorOnly,
}

/// The proof that `actor` may do `action`, on one workspace or on the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    actor: Actor,
    action: Action,
    workspace: Option<WorkspaceId>,
}

/// Decides whether `actor` may do `action` on `workspace` (`None`: on the installation).
///
/// # Errors
/// [`Denied::NotVisible`] for another workspace, [`Denied::Missing`] for lacking permissions,
/// [`Denied::OperatorOnly`] where no workspace key may act.
pub fn authorize(actor: Actor, action: Action, workspace: Option<WorkspaceId>) -> Result<Permit, Denied> {
    let permit = Permit { actor, action, workspace };
    let Actor::Key { workspace: own, permissions, .. } = actor else {
        return Ok(permit);
    };
    if workspace.is_some_and(|workspace| workspace != own) {
        return Err(Denied::NotVisible);
    }
    let Some(needed) = action.permission() else {
        return Err(Denied::OperatorOnly);
    };
    if workspace.is_none() && action != Action::VerifyKeys {
        return Err(Denied::OperatorOnly);
    }
    if permissions.contains(needed.bit()) {
        return Ok(permit);
    }
    Err(Denied::Missing(PermissionSet::EMPTY.with(needed.bit())))
}

impl Permit {
    /// Who acts.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What the permit is for.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// The workspace it is for; `None`: the installation.
    pub const fn workspace(&self) -> Option<WorkspaceId> {
        self.workspace
    }

    /// Whether the operator, or the installation itself, acts.
    pub const fn is_operator(&self) -> bool {
        matches!(self.actor, Actor::Operator(_) | Actor::System)
    }

    /// The permissions that the actor may put into a key.
    pub const fn grantable(&self) -> PermissionSet {
        match self.actor {
            Actor::Key { permissions, .. } => permissions,
            Actor::Operator(_) | Actor::System => PermissionSet::ALL,
        }
    }

    /// Whether the permit covers `action` on `workspace`. Stores refuse commands whose permit does not.
    pub fn covers(&self, action: Action, workspace: Option<WorkspaceId>) -> bool {
        self.action == action && self.workspace == workspace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn key(permissions: PermissionSet) -> Actor {
        let principal = Principal::User(UserId::from_bytes([1; 16]));
        let creator = Creator { principal, membership: MembershipNumber(1) };
        Actor::Key {
            key: KeyId::from_bytes([2; 16]),
            workspace: WorkspaceId::from_bytes([3; 16]),
            creator,
            permissions,
        }
    }

    #[test]
    fn a_key_acts_on_its_own_workspace_with_the_permission_only() {
        let own = Some(WorkspaceId::from_bytes([3; 16]));
        let other = Some(WorkspaceId::from_bytes([4; 16]));
        for action in Action::ALL {
            assert_eq!(
                authorize(key(PermissionSet::ALL), action, other),
                Err(Denied::NotVisible),
                "{action:?}"
            );
            let Some(permission) = action.permission() else {
                assert_eq!(authorize(key(PermissionSet::ALL), action, own), Err(Denied::OperatorOnly));
                continue;
            };
            let just_it = PermissionSet::EMPTY.with(permission.bit());
            assert!(authorize(key(just_it), action, own).is_ok_and(|permit| permit.covers(action, own)));
            let all_else = PermissionSet::ALL.without(just_it);
            assert_eq!(authorize(key(all_else), action, own), Err(Denied::Missing(just_it)));
        }
    }

    #[test]
    fn only_verification_needs_no_workspace() {
        for action in Action::ALL {
            let answer = authorize(key(PermissionSet::ALL), action, None);
            assert_eq!(answer.is_ok(), action == Action::VerifyKeys, "{action:?}");
            assert!(authorize(Actor::Operator(OperatorId::from_bytes([9; 16])), action, None).is_ok());
        }
    }
}
