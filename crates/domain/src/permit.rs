//! Who acts, and the proof that it may.
//!
//! Only [`authorize`] makes a [`Permit`]; every command carries one, so a store cannot be told to do anything that
//! nobody decided about.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{KeyId, OperatorId, SessionId, UserId, WorkspaceId},
    permission::{Builtin, PermissionSet, Role},
    principal::{Creator, Membership, MembershipNumber, Principal},
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
    /// A signed-in person: acts on their own account, and in a workspace within their membership's permissions now.
    User {
        /// The person.
        user: UserId,
        /// The session that was shown.
        session: SessionId,
        /// The workspace that the call is about; `None`: none, or one that the person is not a member of.
        member: Option<ActingMember>,
    },
    /// The installation itself: set-up and scheduled jobs.
    System,
}

/// A person in the workspace that their call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActingMember {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The membership.
    pub membership: MembershipNumber,
    /// The role.
    pub role: Role,
    /// What the membership allows now.
    pub permissions: PermissionSet,
}

impl ActingMember {
    /// A membership in use.
    pub fn of(membership: &Membership) -> Self {
        Self {
            workspace: membership.workspace,
            membership: membership.number,
            role: membership.role,
            permissions: membership.permissions(),
        }
    }
}

/// The actor as the audit trail records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditActor {
    /// `operator`, `key`, `user` or `system`.
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
            Self::User { user, .. } => {
                AuditActor { kind: "user".to_owned(), id: Some(user.to_string()), principal: None }
            }
            Self::System => AuditActor { kind: "system".to_owned(), id: None, principal: None },
        }
    }

    /// Who counts as the creator of what this actor creates. `None` for the system, and for a person outside of their
    /// workspaces.
    pub fn as_creator(&self) -> Option<Creator> {
        match self {
            Self::Operator(id) => {
                Some(Creator { principal: Principal::Operator(*id), membership: MembershipNumber::OPERATOR })
            }
            Self::Key { creator, .. } => Some(*creator),
            Self::User { user, member, .. } => member
                .map(|member| Creator { principal: Principal::User(*user), membership: member.membership }),
            Self::System => None,
        }
    }

    /// A text that tells this actor from all others, for idempotency records.
    pub fn text(&self) -> String {
        match self {
            Self::Operator(id) => id.to_string(),
            Self::Key { key, .. } => key.to_string(),
            Self::User { user, .. } => user.to_string(),
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
    /// Act on one's own account: password, second factor, sessions.
    OwnAccount,
    /// Act on the installation: workspaces, plans, catalogue, operator credentials.
    Operate,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 14] = [
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
        Self::OwnAccount,
        Self::Operate,
    ];

    /// The permission that it takes in a workspace; `None` where no permission of a workspace is enough.
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
            Self::Leave | Self::OwnAccount | Self::Operate => None,
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
    /// Only a signed-in person may do this, on their own account.
    #[error("a signed-in user is needed")]
    UserOnly,
}

/// The proof that `actor` may do `action`, on one workspace or on the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    actor: Actor,
    action: Action,
    workspace: Option<WorkspaceId>,
}

/// Decides whether `actor` may do `action` on `workspace` (`None`: on the installation, or on the actor's own account).
///
/// # Errors
/// [`Denied::NotVisible`] for another workspace, [`Denied::Missing`] for lacking permissions,
/// [`Denied::OperatorOnly`] where no key and no person may act, [`Denied::UserOnly`] where only a person may.
pub fn authorize(actor: Actor, action: Action, workspace: Option<WorkspaceId>) -> Result<Permit, Denied> {
    let permit = Permit { actor, action, workspace };
    let (own, permissions) = match actor {
        Actor::Operator(_) | Actor::System => return Ok(permit),
        Actor::User { .. } if action == Action::OwnAccount && workspace.is_none() => return Ok(permit),
        Actor::User { member: None, .. } if workspace.is_some() => return Err(Denied::NotVisible),
        Actor::User { member: None, .. } => return Err(Denied::OperatorOnly),
        Actor::User { member: Some(member), .. } => (member.workspace, member.permissions),
        Actor::Key { workspace, permissions, .. } => (workspace, permissions),
    };
    if workspace.is_some_and(|workspace| workspace != own) {
        return Err(Denied::NotVisible);
    }
    let is_key = matches!(actor, Actor::Key { .. });
    let needed = match action.permission() {
        Some(needed) => needed,
        None if action == Action::Leave && !is_key && workspace.is_some() => return Ok(permit),
        None if action == Action::OwnAccount && is_key => return Err(Denied::UserOnly),
        None => return Err(Denied::OperatorOnly),
    };
    if workspace.is_none() && !(is_key && action == Action::VerifyKeys) {
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
            Actor::User { member: Some(member), .. } => member.permissions,
            Actor::User { member: None, .. } => PermissionSet::EMPTY,
            Actor::Operator(_) | Actor::System => PermissionSet::ALL,
        }
    }

    /// Whether the permit is for the account of `user`: the person's own, or the system's on their behalf.
    pub fn is_for_account(&self, user: UserId) -> bool {
        let is_theirs = match self.actor {
            Actor::User { user: own, .. } => own == user,
            Actor::System => true,
            Actor::Operator(_) | Actor::Key { .. } => false,
        };
        is_theirs && self.covers(Action::OwnAccount, None)
    }

    /// Whether the permit covers `action` on `workspace`. Stores refuse commands whose permit does not.
    pub fn covers(&self, action: Action, workspace: Option<WorkspaceId>) -> bool {
        self.action == action && self.workspace == workspace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn user(member: Option<PermissionSet>) -> Actor {
        let member = member.map(|permissions| ActingMember {
            workspace: WorkspaceId::from_bytes([3; 16]),
            membership: MembershipNumber(1),
            role: Role::Member,
            permissions,
        });
        Actor::User { user: UserId::from_bytes([1; 16]), session: SessionId::from_bytes([5; 16]), member }
    }

    #[test]
    fn keys_and_members_act_on_their_own_workspace_with_the_permission_only() {
        let own = Some(WorkspaceId::from_bytes([3; 16]));
        let other = Some(WorkspaceId::from_bytes([4; 16]));
        let callers: [fn(PermissionSet) -> Actor; 2] = [key, |permissions| user(Some(permissions))];
        for caller in callers {
            for action in Action::ALL {
                let all = caller(PermissionSet::ALL);
                assert_eq!(authorize(all, action, other), Err(Denied::NotVisible), "{action:?}");
                let Some(permission) = action.permission() else {
                    let may = action == Action::Leave && matches!(all, Actor::User { .. });
                    assert_eq!(authorize(all, action, own).is_ok(), may, "{action:?}");
                    continue;
                };
                let just_it = PermissionSet::EMPTY.with(permission.bit());
                assert!(
                    authorize(caller(just_it), action, own).is_ok_and(|permit| permit.covers(action, own))
                );
                let all_else = PermissionSet::ALL.without(just_it);
                assert_eq!(authorize(caller(all_else), action, own), Err(Denied::Missing(just_it)));
            }
        }
    }

    #[test]
    fn a_user_who_is_no_member_sees_no_workspace() {
        let own = Some(WorkspaceId::from_bytes([3; 16]));
        for action in Action::ALL {
            assert_eq!(authorize(user(None), action, own), Err(Denied::NotVisible), "{action:?}");
        }
    }

    #[test]
    fn an_account_is_for_its_user_alone() {
        let permit = authorize(user(None), Action::OwnAccount, None).unwrap();
        assert!(permit.is_for_account(UserId::from_bytes([1; 16])));
        assert!(!permit.is_for_account(UserId::from_bytes([2; 16])));
        assert_eq!(authorize(key(PermissionSet::ALL), Action::OwnAccount, None), Err(Denied::UserOnly));
        let operator = Actor::Operator(OperatorId::from_bytes([9; 16]));
        let permit = authorize(operator, Action::OwnAccount, None).unwrap();
        assert!(!permit.is_for_account(UserId::from_bytes([1; 16])));
    }

    #[test]
    fn only_verification_by_a_key_needs_no_workspace() {
        for action in Action::ALL {
            let answer = authorize(key(PermissionSet::ALL), action, None);
            assert_eq!(answer.is_ok(), action == Action::VerifyKeys, "{action:?}");
            for caller in [user(None), user(Some(PermissionSet::ALL))] {
                assert_eq!(
                    authorize(caller, action, None).is_ok(),
                    action == Action::OwnAccount,
                    "{action:?}"
                );
            }
            assert!(authorize(Actor::Operator(OperatorId::from_bytes([9; 16])), action, None).is_ok());
        }
    }
}
