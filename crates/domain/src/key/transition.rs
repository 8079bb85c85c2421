//! The pure core of every change of a key: state and change in, new state and audit record out.

use super::{
    ApiKey, FieldChange, Incident, IpNet, KeyChange, KeyError, KeyNumber, KeyPatch, KeySecret, KeyStatus,
    LimitWindow, NewKey, NewSecret, PermissionSet, Revocation, Timestamp, Workspace, caps, check_expiry,
    check_limits, check_metadata, check_name, check_networks, check_text, field_change,
};
use crate::{
    permit::Permit,
    workspace::{ExpiredBy, IdleAction},
};

/// What a change means for verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing changed; the call was a repetition.
    None,
    /// Nothing is taken away.
    Loosening,
    /// Something is taken away: the caller gets a receipt only when no node accepts it any more.
    Restricting,
}

/// A key after a change, and what there is to tell about it.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The key as it is now.
    pub key: ApiKey,
    /// What it means for verification.
    pub effect: Effect,
    /// The audit event's name.
    pub action: &'static str,
    /// The reason given.
    pub reason: Option<String>,
    /// Before and after, without secrets.
    pub fields: Vec<FieldChange>,
    /// The incident that the change opens.
    pub incident: Option<Incident>,
}

/// Creates a key in `workspace`, which has `key_count` keys already.
///
/// # Errors
/// [`KeyError::Field`] for a value out of range, [`KeyError::Escalation`] and [`KeyError::PolicyPermissions`] for
/// permissions that cannot be given, [`KeyError::TooMany`], [`KeyError::OperatorIssued`], [`KeyError::WorkspaceDeleted`].
pub fn create(
    new: NewKey,
    workspace: &Workspace,
    key_count: u32,
    permit: &Permit,
    now: Timestamp,
) -> Result<Transition, KeyError> {
    if workspace.deletion.is_some() {
        return Err(KeyError::WorkspaceDeleted);
    }
    if !workspace.policy.self_service && !permit.is_operator() {
        return Err(KeyError::OperatorIssued);
    }
    if key_count >= workspace.policy.max_keys {
        return Err(KeyError::TooMany(key_count));
    }
    check_name(&new.name)?;
    check_text("purpose", new.purpose.as_deref(), caps::PURPOSE_MAX_CHARS)?;
    check_text("external_id", new.external_id.as_deref(), caps::EXTERNAL_ID_MAX_CHARS)?;
    check_networks(&new.networks)?;
    check_metadata(&new.metadata)?;
    check_limits(new.limits.as_deref())?;
    check_expiry(new.expires_at, now, now, workspace)?;
    let permissions = match new.permissions {
        Some(asked) => check_permissions(asked, PermissionSet::EMPTY, workspace, permit)?,
        None => workspace
            .policy
            .default_permissions
            .intersection(permit.grantable())
            .intersection(workspace.policy.allowed_permissions),
    };
    let key = ApiKey {
        number: KeyNumber::default(),
        id: new.id,
        workspace: workspace.id,
        workspace_number: workspace.number,
        name: new.name,
        purpose: new.purpose,
        environment: new.environment,
        permissions,
        created_by: new.created_by,
        created_at: now,
        expires_at: new.expires_at,
        disabled_at: None,
        enabled_at: None,
        revoked: None,
        deleted_at: None,
        limits: new.limits,
        networks: new.networks,
        external_id: new.external_id,
        metadata: new.metadata,
        secrets: vec![issue(new.secret, 1, now)],
    };
    let fields = vec![
        field_change("name", None, Some(key.name.clone())),
        field_change("environment", None, Some(key.environment.as_str().to_owned())),
        field_change("permissions", None, Some(permissions.describe())),
        field_change("hint", None, Some(key.secrets[0].hint.clone())),
    ];
    Ok(Transition {
        key,
        effect: Effect::Loosening,
        action: "key.created",
        reason: None,
        fields,
        incident: None,
    })
}

/// Applies `change` to `key`.
///
/// # Errors
/// [`KeyError::Revoked`], [`KeyError::Expired`], [`KeyError::RotationInProgress`], [`KeyError::NoRotation`] when the
/// key's state does not allow it; [`KeyError::Field`], [`KeyError::Escalation`], [`KeyError::PolicyPermissions`] for
/// values that cannot be taken.
pub fn transition(
    key: ApiKey,
    change: KeyChange,
    workspace: &Workspace,
    permit: &Permit,
    now: Timestamp,
) -> Result<Transition, KeyError> {
    if key.deleted_at.is_some() {
        return Err(KeyError::NotFound);
    }
    match change {
        KeyChange::Revoke { reason } => revoke(key, reason, now),
        KeyChange::Delete => Ok(delete(key, now)),
        _ if key.revoked.is_some() => Err(KeyError::Revoked),
        KeyChange::Patch(patch) => apply_patch(key, *patch, workspace, permit, now),
        KeyChange::Rotate { secret, overlap_seconds } => {
            // Rotation is what an overdue key needs; nothing else brings one back whose life is over.
            if key.expired_by(workspace, now).is_some_and(|cause| cause != ExpiredBy::Rotation) {
                return Err(KeyError::Expired);
            }
            rotate(key, secret, overlap_seconds.unwrap_or(workspace.policy.overlap_seconds), permit, now)
        }
        KeyChange::CompleteRotation => end_rotation(key, Keep::Newest, now),
        KeyChange::CancelRotation => end_rotation(key, Keep::Oldest, now),
        KeyChange::Disable => Ok(switch(key, Switch::Off, now)),
        KeyChange::DisableIdle { unused_since, last_used } => {
            Ok(disable_idle(key, unused_since, last_used, workspace, now))
        }
        KeyChange::Enable => Ok(switch(key, Switch::On, now)),
        KeyChange::Compromise { reason, replacement, incident } => {
            check_text("reason", reason.as_deref(), caps::REASON_MAX_CHARS)?;
            let incident =
                Incident { id: incident, workspace: key.workspace, key: key.id, reason, opened_at: now };
            compromise(key, replacement, incident, permit, now)
        }
    }
}

fn issue(secret: NewSecret, ordinal: u16, now: Timestamp) -> KeySecret {
    let NewSecret { id, locator, hint, digest } = secret;
    KeySecret { id, ordinal, locator, hint, digest, created_at: now, expires_at: None, retired_at: None }
}

/// Appends a secret, and forgets the oldest retired ones beyond [`caps::RETIRED_SECRETS_KEPT`].
fn append_secret(key: &mut ApiKey, secret: NewSecret, now: Timestamp) -> Result<(), KeyError> {
    let last = key.secrets.last().map_or(0, |secret| secret.ordinal);
    let ordinal = last.checked_add(1).ok_or_else(|| KeyError::Field {
        field: "secrets",
        reason: "the key was rotated 65535 times; create a new one".to_owned(),
    })?;
    key.secrets.push(issue(secret, ordinal, now));
    let retired = key.secrets.iter().filter(|secret| !secret.is_live(now)).count();
    let mut surplus = retired.saturating_sub(caps::RETIRED_SECRETS_KEPT);
    key.secrets.retain(|secret| {
        let forget = surplus > 0 && !secret.is_live(now);
        surplus -= usize::from(forget);
        !forget
    });
    Ok(())
}

fn check_permissions(
    asked: PermissionSet,
    already: PermissionSet,
    workspace: &Workspace,
    permit: &Permit,
) -> Result<PermissionSet, KeyError> {
    let beyond_caller = asked.without(already).without(permit.grantable());
    if !beyond_caller.is_empty() {
        return Err(KeyError::Escalation(beyond_caller));
    }
    let beyond_policy = asked.without(already).without(workspace.policy.allowed_permissions);
    if !beyond_policy.is_empty() {
        return Err(KeyError::PolicyPermissions(beyond_policy));
    }
    Ok(asked)
}

/// Whoever changes a key into something else must hold all that the key holds: otherwise it could take the key over.
fn check_not_weaker(key: &ApiKey, permit: &Permit) -> Result<(), KeyError> {
    let beyond_caller = key.permissions.without(permit.grantable());
    if beyond_caller.is_empty() { Ok(()) } else { Err(KeyError::Escalation(beyond_caller)) }
}

fn apply_patch(
    mut key: ApiKey,
    patch: KeyPatch,
    workspace: &Workspace,
    permit: &Permit,
    now: Timestamp,
) -> Result<Transition, KeyError> {
    let before = key.clone();
    if let Some(name) = patch.name {
        check_name(&name)?;
        key.name = name;
    }
    if let Some(purpose) = patch.purpose {
        check_text("purpose", purpose.as_deref(), caps::PURPOSE_MAX_CHARS)?;
        key.purpose = purpose;
    }
    if let Some(external_id) = patch.external_id {
        check_text("external_id", external_id.as_deref(), caps::EXTERNAL_ID_MAX_CHARS)?;
        key.external_id = external_id;
    }
    if let Some(metadata) = patch.metadata {
        check_metadata(&metadata)?;
        key.metadata = metadata;
    }
    if let Some(permissions) = patch.permissions {
        key.permissions = check_permissions(permissions, key.permissions, workspace, permit)?;
    }
    if let Some(expires_at) = patch.expires_at {
        check_expiry(expires_at, key.created_at, now, workspace)?;
        key.expires_at = expires_at;
    }
    if let Some(limits) = patch.limits {
        check_limits(limits.as_deref())?;
        key.limits = limits;
    }
    if let Some(networks) = patch.networks {
        check_networks(&networks)?;
        key.networks = networks;
    }
    let fields = differences(&before, &key);
    let effect = if fields.is_empty() { Effect::None } else { patch_effect(&before, &key) };
    Ok(Transition { key, effect, action: "key.updated", reason: None, fields, incident: None })
}

/// Restricting unless it is certain that nothing is taken away.
fn patch_effect(before: &ApiKey, after: &ApiKey) -> Effect {
    let permissions_shrink = !before.permissions.is_subset(after.permissions);
    let networks_change = before.networks != after.networks && !after.networks.is_empty();
    let life_shrinks = after.expires_at.is_some_and(|end| before.expires_at.is_none_or(|old| end < old));
    let limits_change = before.limits != after.limits;
    if permissions_shrink || networks_change || life_shrinks || limits_change {
        Effect::Restricting
    } else {
        Effect::Loosening
    }
}

fn differences(before: &ApiKey, after: &ApiKey) -> Vec<FieldChange> {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let candidates = [
        ("name", Some(before.name.clone()), Some(after.name.clone())),
        ("purpose", before.purpose.clone(), after.purpose.clone()),
        ("external_id", before.external_id.clone(), after.external_id.clone()),
        ("metadata", Some(before.metadata.clone()), Some(after.metadata.clone())),
        ("permissions", Some(before.permissions.describe()), Some(after.permissions.describe())),
        ("expires_at", time(before.expires_at), time(after.expires_at)),
        ("limits", describe_limits(before), describe_limits(after)),
        ("allowed_ips", Some(describe_networks(&before.networks)), Some(describe_networks(&after.networks))),
    ];
    candidates
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(field, old, new)| field_change(field, old, new))
        .collect()
}

fn describe_limits(key: &ApiKey) -> Option<String> {
    let windows = key.limits.as_ref()?;
    let texts = windows.iter().map(LimitWindow::describe);
    Some(texts.collect::<Vec<_>>().join(", "))
}

fn describe_networks(networks: &[IpNet]) -> String {
    networks.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ")
}

fn rotate(
    mut key: ApiKey,
    secret: NewSecret,
    overlap_seconds: u32,
    permit: &Permit,
    now: Timestamp,
) -> Result<Transition, KeyError> {
    check_not_weaker(&key, permit)?;
    if overlap_seconds > caps::OVERLAP_SECONDS_MAX {
        let reason = format!("is from 0 to {}", caps::OVERLAP_SECONDS_MAX);
        return Err(KeyError::Field { field: "overlap_seconds", reason });
    }
    if key.live_secrets(now).count() > 1 {
        return Err(KeyError::RotationInProgress);
    }
    let old_hint = key.primary_secret().map(|secret| secret.hint.clone());
    for old in key.secrets.iter_mut().filter(|secret| secret.is_live(now)) {
        if overlap_seconds == 0 {
            old.retired_at = Some(now);
        } else {
            old.expires_at = Some(now.plus_seconds(i64::from(overlap_seconds)));
        }
    }
    let fields = vec![
        field_change("hint", old_hint, Some(secret.hint.clone())),
        field_change("overlap_seconds", None, Some(overlap_seconds.to_string())),
    ];
    append_secret(&mut key, secret, now)?;
    let effect = if overlap_seconds == 0 { Effect::Restricting } else { Effect::Loosening };
    Ok(Transition { key, effect, action: "key.rotated", reason: None, fields, incident: None })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Newest,
    Oldest,
}

fn end_rotation(mut key: ApiKey, keep: Keep, now: Timestamp) -> Result<Transition, KeyError> {
    let live: Vec<u16> = key.live_secrets(now).map(|secret| secret.ordinal).collect();
    let (Some(oldest), Some(newest)) = (live.first(), live.last()) else {
        return Err(KeyError::NoRotation);
    };
    if oldest == newest {
        return Err(KeyError::NoRotation);
    }
    let kept = if keep == Keep::Newest { *newest } else { *oldest };
    let mut fields = Vec::new();
    for secret in &mut key.secrets {
        if secret.ordinal == kept {
            secret.expires_at = None;
        } else if secret.is_live(now) {
            secret.retired_at = Some(now);
            fields.push(field_change("hint", Some(secret.hint.clone()), None));
        }
    }
    let action = if keep == Keep::Newest { "key.rotation_completed" } else { "key.rotation_cancelled" };
    Ok(Transition { key, effect: Effect::Restricting, action, reason: None, fields, incident: None })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Off,
    On,
}

fn switch(mut key: ApiKey, to: Switch, now: Timestamp) -> Transition {
    let (effect, action) = match (key.disabled_at, to) {
        (None, Switch::Off) => (Effect::Restricting, "key.disabled"),
        (Some(_), Switch::On) => (Effect::Loosening, "key.enabled"),
        (Some(_), Switch::Off) => (Effect::None, "key.disabled"),
        (None, Switch::On) => (Effect::None, "key.enabled"),
    };
    match effect {
        Effect::Restricting => key.disabled_at = Some(now),
        Effect::Loosening => (key.disabled_at, key.enabled_at) = (None, Some(now)),
        Effect::None => {}
    }
    Transition { key, effect, action, reason: None, fields: Vec::new(), incident: None }
}

/// Nothing happens if anything speaks for the key.
fn disable_idle(
    key: ApiKey,
    unused_since: Timestamp,
    last_used: Option<Timestamp>,
    workspace: &Workspace,
    now: Timestamp,
) -> Transition {
    let is_asked = workspace.policy.idle_action == IdleAction::Disable
        && workspace.idle_before(now).is_some_and(|latest| unused_since <= latest);
    let since = key.unused_since(last_used);
    if !is_asked || since > unused_since || key.status_in(workspace, now) != KeyStatus::Active {
        let action = "key.disabled";
        return Transition {
            key,
            effect: Effect::None,
            action,
            reason: None,
            fields: Vec::new(),
            incident: None,
        };
    }
    let reason = format!("not used since {}", since.to_rfc3339());
    Transition { reason: Some(reason), ..switch(key, Switch::Off, now) }
}

fn revoke(mut key: ApiKey, reason: Option<String>, now: Timestamp) -> Result<Transition, KeyError> {
    check_text("reason", reason.as_deref(), caps::REASON_MAX_CHARS)?;
    let effect = if key.revoked.is_some() { Effect::None } else { Effect::Restricting };
    if effect == Effect::Restricting {
        key.revoked = Some(Revocation { at: now, reason: reason.clone() });
    }
    Ok(Transition { key, effect, action: "key.revoked", reason, fields: Vec::new(), incident: None })
}

fn delete(mut key: ApiKey, now: Timestamp) -> Transition {
    key.revoked.get_or_insert(Revocation { at: now, reason: Some("deleted".to_owned()) });
    key.deleted_at = Some(now);
    Transition {
        key,
        effect: Effect::Restricting,
        action: "key.deleted",
        reason: None,
        fields: Vec::new(),
        incident: None,
    }
}

fn compromise(
    mut key: ApiKey,
    replacement: Option<NewSecret>,
    incident: Incident,
    permit: &Permit,
    now: Timestamp,
) -> Result<Transition, KeyError> {
    let mut fields = Vec::new();
    for secret in key.secrets.iter_mut().filter(|secret| secret.is_live(now)) {
        secret.retired_at = Some(now);
        fields.push(field_change("hint", Some(secret.hint.clone()), None));
    }
    if let Some(secret) = replacement {
        check_not_weaker(&key, permit)?;
        fields.push(field_change("hint", None, Some(secret.hint.clone())));
        append_secret(&mut key, secret, now)?;
    } else {
        let reason = incident.reason.clone().or_else(|| Some("compromised".to_owned()));
        key.revoked = Some(Revocation { at: now, reason });
    }
    fields.push(field_change("incident", None, Some(incident.id.to_string())));
    let reason = incident.reason.clone();
    let effect = Effect::Restricting;
    Ok(Transition { key, effect, action: "key.compromised", reason, fields, incident: Some(incident) })
}
