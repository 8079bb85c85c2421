//! The pure core of every change of a membership, and of whose a key is.

use super::{Authority, MemberError, MemberPatch, Switch};
use crate::{
    administration::Decided,
    audit::FieldChange,
    caps,
    key::{ApiKey, Effect, KeyError},
    permission::{Builtin, PermissionSet, Role},
    principal::{Creator, Membership, Principal},
    time::Timestamp,
};

/// Changes a membership's role or permissions; the workspace has `owners` Owners.
///
/// # Errors
/// [`MemberError::OwnerOnly`], [`MemberError::LastOwner`], [`MemberError::NotInRole`], [`MemberError::OwnerIsWhole`],
/// [`MemberError::OwnerIsAPerson`], [`MemberError::Escalation`].
pub fn patch(
    before: &Membership,
    patch: MemberPatch,
    owners: u64,
    authority: &Authority,
) -> Result<Decided<Membership>, MemberError> {
    let mut after = before.clone();
    after.role = patch.role.unwrap_or(before.role);
    after.narrowed_to = narrowed(before, after.role, patch)?;
    if after.role == Role::Owner && matches!(after.principal, Principal::ServiceAccount(_)) {
        return Err(MemberError::OwnerIsAPerson);
    }
    authority.check_role(before.role)?;
    authority.check_role(after.role)?;
    if before.role == Role::Owner && after.role != Role::Owner && owners <= 1 {
        return Err(MemberError::LastOwner);
    }
    authority.check_grant(after.rights().without(before.rights()))?;
    Ok(decided(before, after, "member.updated"))
}

/// The permissions within `role` after a patch.
fn narrowed(
    before: &Membership,
    role: Role,
    patch: MemberPatch,
) -> Result<Option<PermissionSet>, MemberError> {
    match patch.narrowed_to {
        None if role == Role::Owner => Ok(None),
        None => Ok(before.narrowed_to.map(|set| set.intersection(role.permissions()))),
        Some(set) => narrow(role, set),
    }
}

/// Permissions within `role`; `None`: all of the role's.
///
/// # Errors
/// [`MemberError::OwnerIsWhole`], [`MemberError::NotInRole`].
pub fn narrow(role: Role, set: Option<PermissionSet>) -> Result<Option<PermissionSet>, MemberError> {
    let Some(set) = set else { return Ok(None) };
    if role == Role::Owner {
        return Err(MemberError::OwnerIsWhole);
    }
    let beyond = set.without(role.permissions());
    if beyond.is_empty() { Ok(Some(set)) } else { Err(MemberError::NotInRole(beyond)) }
}

/// Ends a membership; the workspace has `owners` Owners. `authority` is that of whoever removes the member; `None`: the
/// member leaves.
///
/// # Errors
/// [`MemberError::OwnerOnly`], [`MemberError::LastOwner`].
pub fn end(
    before: &Membership,
    owners: u64,
    authority: Option<&Authority>,
    now: Timestamp,
) -> Result<Decided<Membership>, MemberError> {
    if let Some(authority) = authority {
        authority.check_role(before.role)?;
    }
    if before.role == Role::Owner && owners <= 1 {
        return Err(MemberError::LastOwner);
    }
    let after = Membership { ended_at: Some(now), ..before.clone() };
    let action = if authority.is_some() { "member.removed" } else { "member.left" };
    Ok(decided(before, after, action))
}

/// Switches a membership off or on.
pub fn switch(before: &Membership, switch: Switch, now: Timestamp) -> Decided<Membership> {
    let (disabled_at, action) = match switch {
        Switch::On => (None, "service_account.enabled"),
        Switch::Off => (before.disabled_at.or(Some(now)), "service_account.disabled"),
    };
    decided(before, Membership { disabled_at, ..before.clone() }, action)
}

/// Makes `to` Owner, and `from` Admin.
///
/// # Errors
/// [`MemberError::OwnerOnly`], [`MemberError::NotOwner`], [`MemberError::AlreadyOwner`], [`MemberError::OwnerIsAPerson`],
/// [`MemberError::Escalation`].
pub fn transfer_ownership(
    from: &Membership,
    to: &Membership,
    authority: &Authority,
) -> Result<(Decided<Membership>, Decided<Membership>), MemberError> {
    authority.check_role(Role::Owner)?;
    if from.role != Role::Owner {
        return Err(MemberError::NotOwner);
    }
    if !matches!(to.principal, Principal::User(_)) {
        return Err(MemberError::OwnerIsAPerson);
    }
    if to.role == Role::Owner {
        return Err(MemberError::AlreadyOwner);
    }
    authority.check_grant(Role::Owner.permissions().without(to.rights()))?;
    let now_admin = Membership { role: Role::Admin, narrowed_to: None, ..from.clone() };
    let now_owner = Membership { role: Role::Owner, narrowed_to: None, ..to.clone() };
    Ok((
        decided(from, now_admin, "member.ownership_given"),
        decided(to, now_owner, "member.ownership_received"),
    ))
}

/// Checks that keys may be given away at all: whoever makes keys could have made them, whoever does not must not keep one
/// alive beyond their own membership.
///
/// # Errors
/// [`MemberError::Escalation`].
pub fn check_may_hand_over(authority: &Authority) -> Result<(), MemberError> {
    authority.check_grant(PermissionSet::EMPTY.with(Builtin::KeysWrite.bit()))
}

/// Checks that so many keys may be handed over in one call.
///
/// # Errors
/// [`MemberError::TooManyKeys`].
pub const fn check_key_count(keys: usize) -> Result<(), MemberError> {
    if keys > caps::HAND_OVER_MAX { Err(MemberError::TooManyKeys) } else { Ok(()) }
}

/// A key that was given to a service account.
#[derive(Clone, Debug)]
pub struct HandedOver {
    /// The key as it is now, and what there is to tell.
    pub key: Decided<ApiKey>,
    /// What it may not do any more.
    pub lost: PermissionSet,
}

/// Gives a key to the service account whose membership is `to`. `creator_may` is what the key's creator may do until
/// now, and `policy` what the workspace allows its keys.
///
/// # Errors
/// [`KeyError::NotFound`], [`KeyError::Revoked`]; [`KeyError::Escalation`] when the key could then do more than before,
/// and more than whoever hands it over.
pub fn hand_over(
    mut key: ApiKey,
    creator_may: PermissionSet,
    policy: PermissionSet,
    to: &Membership,
    authority: &Authority,
) -> Result<HandedOver, KeyError> {
    if key.deleted_at.is_some() {
        return Err(KeyError::NotFound);
    }
    if key.revoked.is_some() {
        return Err(KeyError::Revoked);
    }
    let creator = Creator { principal: to.principal, membership: to.number };
    let most = key.permissions.intersection(policy);
    let (before, after) = (most.intersection(creator_may), most.intersection(to.permissions()));
    let beyond = after.without(before).without(authority.grantable());
    if !beyond.is_empty() {
        return Err(KeyError::Escalation(beyond));
    }
    let lost = before.without(after);
    let effect = match (key.created_by == creator, lost.is_empty()) {
        (true, _) => Effect::None,
        (false, true) => Effect::Loosening,
        (false, false) => Effect::Restricting,
    };
    let mut fields =
        vec![field("created_by", Some(key.created_by.principal.id_text()), Some(to.principal.id_text()))];
    fields.extend((!lost.is_empty()).then(|| field("lost_permissions", None, Some(lost.describe()))));
    key.created_by = creator;
    Ok(HandedOver { key: Decided { value: key, effect, action: "key.handed_over", fields }, lost })
}

/// A membership after a change. Names and addresses stay out of the chain: members are named by id.
fn decided(before: &Membership, after: Membership, action: &'static str) -> Decided<Membership> {
    let set = |membership: &Membership| membership.narrowed_to.map(PermissionSet::describe);
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let mut fields = vec![
        field("role", Some(before.role.as_str().to_owned()), Some(after.role.as_str().to_owned())),
        field("permissions", set(before), set(&after)),
        field("disabled_at", time(before.disabled_at), time(after.disabled_at)),
        field("ended_at", time(before.ended_at), time(after.ended_at)),
    ];
    fields.retain(|field| field.before != field.after);
    let effect = if fields.is_empty() {
        Effect::None
    } else if before.permissions().is_subset(after.permissions()) && before.role >= after.role {
        Effect::Loosening
    } else {
        Effect::Restricting
    };
    Decided { value: after, effect, action, fields }
}

pub(super) fn field(name: &str, before: Option<String>, after: Option<String>) -> FieldChange {
    FieldChange { field: name.to_owned(), before, after }
}
