//! Keys and their secrets.

use ipnet::IpNet;
use keywright_domain::{
    environment::Environment,
    ids::{IncidentId, KeyId, SecretId, WorkspaceId},
    key::{ApiKey, Incident, KeyNumber, KeySecret, Revocation, SecretDigest},
    limits::LimitWindow,
    principal::{Creator, MembershipNumber},
    query::LastUsed,
    usage::AgentClass,
    workspace::WorkspaceNumber,
};
use keywright_keyformat::Locator;
use tokio_postgres::Row;

use super::{
    address, bytes,
    installation::{CountedWorkspace, counted_workspace_at},
    is_null, number, optional_text, optional_time, permissions, permissions_column, principal,
    principal_columns, text, time, to_json, unreadable, variant,
};
use crate::{connect::Param, fault::Fault, params};

/// What a key without metadata has.
const NO_METADATA: &str = "{}";
/// Where the columns of the secret begin in a row of a key.
const SECRET: usize = 21;
/// Where columns that follow those of key and secret begin.
pub(crate) const BEHIND: usize = SECRET + 10;
/// Where the columns of the workspace begin in a row of a key that is to be changed, and those of the head behind them.
const WORKSPACE: usize = BEHIND + 4;
pub(crate) const HEAD: usize = WORKSPACE + 12;

/// Keys from rows of a key and one of its secrets each; the rows of a key follow each other.
pub(crate) fn with_secrets(rows: &[Row]) -> Result<Vec<ApiKey>, Fault> {
    let mut keys: Vec<ApiKey> = Vec::new();
    for row in rows {
        let at = KeyNumber(number(row, 0)?);
        if keys.last().is_none_or(|last| last.number != at) {
            keys.push(read(row)?);
        }
        let key = keys.last_mut().expect("one was pushed");
        key.secrets.extend(secret(row)?);
    }
    Ok(keys)
}

/// The secret in a row of a key, if the key has any.
pub(crate) fn secret(row: &Row) -> Result<Option<KeySecret>, Fault> {
    if is_null(row, SECRET)? {
        return Ok(None);
    }
    Ok(Some(KeySecret {
        ordinal: number(row, SECRET)?,
        id: SecretId::from_bytes(bytes(row, SECRET + 1)?),
        locator: locator(row, SECRET + 2)?,
        digest: digest(row, SECRET + 3)?,
        created_at: time(row, SECRET + 5)?,
        expires_at: optional_time(row, SECRET + 6)?,
        retired_at: optional_time(row, SECRET + 7)?,
        hint: text(row, SECRET + 8)?.to_owned(),
    }))
}

/// A key from its row, without its secrets.
pub(crate) fn read(row: &Row) -> Result<ApiKey, Fault> {
    Ok(ApiKey {
        number: KeyNumber(number(row, 0)?),
        id: KeyId::from_bytes(bytes(row, 1)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 20)?),
        workspace_number: WorkspaceNumber(number(row, 2)?),
        environment: variant(row, 3, Environment::from_u8)?,
        permissions: permissions(row, 4)?,
        created_by: creator(row, 5)?,
        created_at: time(row, 8)?,
        expires_at: optional_time(row, 9)?,
        disabled_at: optional_time(row, 10)?,
        enabled_at: optional_time(row, SECRET + 9)?,
        revoked: revocation(row)?,
        deleted_at: optional_time(row, 12)?,
        limits: limits(row, 13)?,
        networks: networks(row, 14)?,
        external_id: optional_text(row, 15)?.map(str::to_owned),
        metadata: metadata(row, 16)?,
        name: text(row, 17)?.to_owned(),
        purpose: optional_text(row, 18)?.map(str::to_owned),
        secrets: Vec::with_capacity(1),
    })
}

fn revocation(row: &Row) -> Result<Option<Revocation>, Fault> {
    let reason = optional_text(row, 19)?.map(str::to_owned);
    Ok(optional_time(row, 11)?.map(|at| Revocation { at, reason }))
}

/// Kind, id and membership of a key's creator.
pub(crate) fn creator(row: &Row, column: usize) -> Result<Creator, Fault> {
    let membership = MembershipNumber(number(row, column + 2)?);
    Ok(Creator { principal: principal(row, column)?, membership })
}

/// A key's own windows.
pub(crate) fn limits(row: &Row, column: usize) -> Result<Option<Vec<LimitWindow>>, Fault> {
    optional_text(row, column)?
        .map(|text| serde_json::from_str(text).map_err(|_| unreadable(row, column)))
        .transpose()
}

/// A key's networks.
pub(crate) fn networks(row: &Row, column: usize) -> Result<Vec<IpNet>, Fault> {
    let Some(text) = optional_text(row, column)? else { return Ok(Vec::new()) };
    text.split(' ').map(|network| network.parse().map_err(|_| unreadable(row, column))).collect()
}

/// A key's metadata.
pub(crate) fn metadata(row: &Row, column: usize) -> Result<String, Fault> {
    Ok(optional_text(row, column)?.unwrap_or(NO_METADATA).to_owned())
}

fn networks_column(networks: &[IpNet]) -> Option<String> {
    if networks.is_empty() {
        return None;
    }
    Some(networks.iter().map(IpNet::to_string).collect::<Vec<_>>().join(" "))
}

fn metadata_column(metadata: &str) -> Option<&str> {
    (metadata != NO_METADATA).then_some(metadata)
}

/// A locator.
pub(crate) fn locator(row: &Row, column: usize) -> Result<Locator, Fault> {
    Locator::parse(text(row, column)?.as_bytes()).map_err(|_| unreadable(row, column))
}

/// Pepper and bytes of a digest.
pub(crate) fn digest(row: &Row, column: usize) -> Result<SecretDigest, Fault> {
    Ok(SecretDigest { pepper: number(row, column)?, bytes: bytes(row, column + 1)? })
}

/// A name as it is searched for.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// The parameters of a new key.
pub(crate) fn insert_params(key: &ApiKey) -> Vec<Param> {
    let (creator_kind, creator_id) = principal_columns(key.created_by.principal);
    params![
        key.number.0,
        key.id.to_bytes(),
        key.workspace_number.0,
        i64::from(key.environment as u8),
        permissions_column(key.permissions),
        creator_kind,
        creator_id,
        key.created_by.membership.0,
        key.created_at,
        key.expires_at,
        key.disabled_at,
        key.revoked.as_ref().map(|revocation| revocation.at),
        key.deleted_at,
        key.limits.as_deref().map(to_json),
        networks_column(&key.networks),
        key.external_id.as_deref(),
        metadata_column(&key.metadata),
        &key.name,
        folded(&key.name),
        key.purpose.as_deref(),
        key.revoked.as_ref().and_then(|revocation| revocation.reason.as_deref()),
    ]
}

/// The parameters of a new secret.
pub(crate) fn insert_secret_params(key: KeyNumber, secret: &KeySecret) -> Vec<Param> {
    params![
        key.0,
        secret.ordinal,
        secret.id.to_bytes(),
        secret.locator.as_str(),
        i64::from(secret.digest.pepper),
        secret.digest.bytes,
        secret.created_at,
        secret.expires_at,
        secret.retired_at,
        &secret.hint,
    ]
}

/// The parameters of what may change of a key.
pub(crate) fn update_params(after: &ApiKey) -> Vec<Param> {
    params![
        after.number.0,
        permissions_column(after.permissions),
        after.expires_at,
        after.disabled_at,
        after.revoked.as_ref().map(|revocation| revocation.at),
        after.deleted_at,
        after.limits.as_deref().map(to_json),
        networks_column(&after.networks),
        after.external_id.as_deref(),
        metadata_column(&after.metadata),
        &after.name,
        folded(&after.name),
        after.purpose.as_deref(),
        after.revoked.as_ref().and_then(|revocation| revocation.reason.as_deref()),
        after.enabled_at,
    ]
}

/// The parameters of what may change of a secret.
pub(crate) fn update_secret_params(key: KeyNumber, secret: &KeySecret) -> Vec<Param> {
    params![
        key.0,
        secret.ordinal,
        i64::from(secret.digest.pepper),
        secret.digest.bytes,
        secret.expires_at,
        secret.retired_at,
    ]
}

/// The parameters of an incident.
pub(crate) fn incident_params(incident: &Incident, workspace: WorkspaceNumber) -> Vec<Param> {
    params![
        incident.id.to_bytes(),
        workspace.0,
        incident.key.to_bytes(),
        incident.reason.as_deref(),
        incident.opened_at,
    ]
}

/// An incident from its row.
pub(crate) fn incident(row: &Row, workspace: WorkspaceId) -> Result<Incident, Fault> {
    Ok(Incident {
        id: IncidentId::from_bytes(bytes(row, 0)?),
        workspace,
        key: KeyId::from_bytes(bytes(row, 1)?),
        reason: optional_text(row, 2)?.map(str::to_owned),
        opened_at: time(row, 3)?,
    })
}

/// When a secret was last used, from its row; the first column is the key.
pub(crate) fn last_used(row: &Row) -> Result<(KeyNumber, LastUsed), Fault> {
    Ok((KeyNumber(number(row, 0)?), last_use(row, 1)?))
}

/// A key that is to be changed.
pub(crate) struct ToChange {
    pub(crate) key: ApiKey,
    pub(crate) last_uses: Vec<LastUsed>,
    pub(crate) workspace: CountedWorkspace,
}

/// Keys from rows of a key, its workspace, one of its secrets and one of their last uses each; the rows of a key follow each
/// other. A row without a key says that there is none.
pub(crate) fn to_change(rows: &[Row]) -> Result<Vec<ToChange>, Fault> {
    let mut keys: Vec<ToChange> = Vec::new();
    for row in rows {
        if is_null(row, 0)? {
            continue;
        }
        let at = KeyNumber(number(row, 0)?);
        if keys.last().is_none_or(|last| last.key.number != at) {
            let workspace = counted_workspace_at(row, WORKSPACE)?;
            keys.push(ToChange { key: read(row)?, last_uses: Vec::new(), workspace });
        }
        let ToChange { key, last_uses, .. } = keys.last_mut().expect("one was pushed");
        if let Some(secret) = secret(row)?
            && key.secrets.iter().all(|known| known.ordinal != secret.ordinal)
        {
            key.secrets.push(secret);
        }
        if !is_null(row, BEHIND)? {
            let used = last_use(row, BEHIND)?;
            if last_uses.iter().all(|known| known.secret_ordinal != used.secret_ordinal) {
                last_uses.push(used);
            }
        }
    }
    for ToChange { key, last_uses, .. } in &mut keys {
        key.secrets.sort_by_key(|secret| secret.ordinal);
        last_uses.sort_by_key(|used| used.secret_ordinal);
    }
    Ok(keys)
}

fn last_use(row: &Row, first: usize) -> Result<LastUsed, Fault> {
    Ok(LastUsed {
        secret_ordinal: number(row, first)?,
        at: time(row, first + 1)?,
        address: address(row, first + 2)?,
        agent: variant(row, first + 3, AgentClass::from_u8)?,
    })
}
