//! Service accounts: what they are, and how they are created and changed.

use super::{Authority, MemberError, MemberPatch, rules, rules::field};
use crate::{
    administration::Decided,
    audit::FieldChange,
    caps,
    ids::{ServiceAccountId, WorkspaceId},
    key::{Effect, KeyError, NewKey, is_printable},
    permission::{PermissionSet, Role},
    principal::{Creator, Membership, MembershipNumber, Principal},
    time::Timestamp,
    workspace::Workspace,
};

/// An account that is not a person: of one application, with a team that answers for it. It outlives the people who
/// made it. What it may do, its membership says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The id.
    pub id: ServiceAccountId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its membership.
    pub membership: MembershipNumber,
    /// The name.
    pub name: String,
    /// An identity in the form of an e-mail address, unique in the workspace. Nothing is ever sent to it.
    pub email: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// The team that answers for it.
    pub owning_team: Option<String>,
    /// Who created it.
    pub created_by: Principal,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

/// A service account about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServiceAccount {
    /// The id.
    pub id: ServiceAccountId,
    /// The name.
    pub name: String,
    /// Its identity.
    pub email: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// The team that answers for it.
    pub owning_team: Option<String>,
    /// The role.
    pub role: Role,
    /// Permissions within the role; `None`: all of them.
    pub narrowed_to: Option<PermissionSet>,
    /// Who creates it.
    pub created_by: Principal,
}

/// What to change of a service account: `None` leaves a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccountPatch {
    /// The name.
    pub name: Option<String>,
    /// Its identity.
    pub email: Option<String>,
    /// What it is for.
    pub purpose: Option<Option<String>>,
    /// The team that answers for it.
    pub owning_team: Option<Option<String>>,
    /// Role and permissions.
    pub member: MemberPatch,
}

/// Creates a service account, and its membership. `is_taken`: another one has its identity; the workspace has `count`.
///
/// # Errors
/// [`MemberError::Field`], [`MemberError::EmailTaken`], [`MemberError::TooMany`], [`MemberError::OwnerIsAPerson`],
/// [`MemberError::NotInRole`], [`MemberError::Escalation`].
pub fn create_service_account(
    new: NewServiceAccount,
    workspace: &Workspace,
    is_taken: bool,
    count: u64,
    authority: &Authority,
    now: Timestamp,
) -> Result<(Decided<ServiceAccount>, Membership), MemberError> {
    if count >= caps::SERVICE_ACCOUNTS_MAX {
        return Err(MemberError::TooMany);
    }
    let account = ServiceAccount {
        id: new.id,
        workspace: workspace.id,
        membership: MembershipNumber::default(),
        name: new.name,
        email: new.email,
        purpose: new.purpose,
        owning_team: new.owning_team,
        created_by: new.created_by,
        created_at: now,
        deleted_at: None,
    };
    check(&account, is_taken)?;
    // A membership that may do nothing, which is then given what was asked for: one rule for both.
    let nothing = Membership {
        number: MembershipNumber::default(),
        workspace: workspace.id,
        principal: Principal::ServiceAccount(new.id),
        role: Role::Viewer,
        narrowed_to: Some(PermissionSet::EMPTY),
        created_at: now,
        disabled_at: None,
        ended_at: None,
    };
    let wanted = MemberPatch { role: Some(new.role), narrowed_to: Some(new.narrowed_to) };
    let membership = rules::patch(&nothing, wanted, u64::MAX, authority)?.value;
    let mut fields = differences(None, &account);
    fields.push(field("role", None, Some(membership.role.as_str().to_owned())));
    fields.push(field("permissions", None, membership.narrowed_to.map(PermissionSet::describe)));
    fields.retain(|field| field.after.is_some());
    let decided =
        Decided { value: account, effect: Effect::Loosening, action: "service_account.created", fields };
    Ok((decided, membership))
}

/// Changes what describes a service account. `is_taken`: another one has the identity that it is to have.
///
/// # Errors
/// [`MemberError::Field`], [`MemberError::EmailTaken`].
pub fn patch_service_account(
    before: &ServiceAccount,
    patch: ServiceAccountPatch,
    is_taken: bool,
) -> Result<Decided<ServiceAccount>, MemberError> {
    let after = ServiceAccount {
        name: patch.name.unwrap_or_else(|| before.name.clone()),
        email: patch.email.unwrap_or_else(|| before.email.clone()),
        purpose: patch.purpose.unwrap_or_else(|| before.purpose.clone()),
        owning_team: patch.owning_team.unwrap_or_else(|| before.owning_team.clone()),
        ..before.clone()
    };
    check(&after, is_taken)?;
    let fields = differences(Some(before), &after);
    let effect = if fields.is_empty() { Effect::None } else { Effect::Loosening };
    Ok(Decided { value: after, effect, action: "service_account.updated", fields })
}

/// A key about to be created for the service account whose membership is `to`. It has no more than the account has:
/// what was asked for must fit, and defaults are cut.
///
/// # Errors
/// [`KeyError::Escalation`].
pub fn grant_to_account(
    mut new: NewKey,
    to: &Membership,
    workspace: &Workspace,
    grantable: PermissionSet,
) -> Result<NewKey, KeyError> {
    new.created_by = Creator { principal: to.principal, membership: to.number };
    if let Some(asked) = new.permissions {
        let beyond = asked.without(to.permissions());
        if !beyond.is_empty() {
            return Err(KeyError::Escalation(beyond));
        }
    } else {
        let by_default = workspace.policy.default_permissions.intersection(to.permissions());
        new.permissions =
            Some(by_default.intersection(grantable).intersection(workspace.policy.allowed_permissions));
    }
    Ok(new)
}

fn check(account: &ServiceAccount, is_taken: bool) -> Result<(), MemberError> {
    let refuse = |field, reason: String| Err(MemberError::Field { field, reason });
    if !is_printable(&account.name, 1, caps::NAME_MAX_CHARS) || account.name.trim().is_empty() {
        return refuse("name", format!("has 1 to {} printable characters", caps::NAME_MAX_CHARS));
    }
    if !is_identity(&account.email) {
        let reason = format!(
            "has the form of an e-mail address, such as api-production@company.com, in at most {} lower-case characters",
            caps::IDENTITY_MAX_BYTES
        );
        return refuse("email", reason);
    }
    for (name, text, max) in [
        ("purpose", &account.purpose, caps::PURPOSE_MAX_CHARS),
        ("owning_team", &account.owning_team, caps::NAME_MAX_CHARS),
    ] {
        if text.as_ref().is_some_and(|text| !is_printable(text, 1, max)) {
            return refuse(name, format!("has 1 to {max} printable characters, or is null"));
        }
    }
    if is_taken { Err(MemberError::EmailTaken) } else { Ok(()) }
}

/// Whether a text has the form `name@domain`, lower-case and without anything that could be mistaken in a log.
fn is_identity(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_');
    text.len() <= caps::IDENTITY_MAX_BYTES
        && text.split_once('@').is_some_and(|(name, domain)| {
            !name.is_empty()
                && name.bytes().all(|byte| is_plain(byte) || byte == b'+')
                && domain.split('.').all(|label| !label.is_empty())
                && domain.bytes().all(is_plain)
        })
}

/// What changed. The identity is not told: people put addresses of people there, against all advice.
fn differences(before: Option<&ServiceAccount>, after: &ServiceAccount) -> Vec<FieldChange> {
    let old = |read: fn(&ServiceAccount) -> Option<&String>| before.and_then(read).cloned();
    let mut fields = vec![
        field("name", old(|account| Some(&account.name)), Some(after.name.clone())),
        field("purpose", old(|account| account.purpose.as_ref()), after.purpose.clone()),
        field("owning_team", old(|account| account.owning_team.as_ref()), after.owning_team.clone()),
    ];
    if before.is_some_and(|before| before.email != after.email) {
        fields.push(field("email", Some("another one".to_owned()), None));
    }
    fields.retain(|field| field.before != field.after);
    fields
}
