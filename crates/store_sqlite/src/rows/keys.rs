//! Keys and their secrets.

use ipnet::IpNet;
use keywright_domain::{
    environment::Environment,
    ids::{IncidentId, KeyId, SecretId, WorkspaceId},
    key::{ApiKey, Incident, KeyNumber, KeySecret, Revocation, SecretDigest},
    limits::LimitWindow,
    principal::{Creator, MembershipNumber},
    query::LastUsed,
    time::Timestamp,
    usage::AgentClass,
    workspace::WorkspaceNumber,
};
use keywright_keyformat::Locator;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    address, bytes, optional_text, optional_time, permissions, permissions_column, principal,
    principal_columns, text, time, time_column, to_json, unreadable, variant,
};
use crate::{fault::Fault, sql};

/// What a key without metadata has.
const NO_METADATA: &str = "{}";

/// A key by id, deleted or not, with its secrets.
pub(crate) fn by_id(
    connection: &Connection,
    id: KeyId,
    workspace: WorkspaceId,
) -> Result<Option<ApiKey>, Fault> {
    let mut statement = connection.prepare_cached(sql::keys::BY_ID)?;
    let mut rows = statement.query([id.to_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut key = read(row, workspace)?;
    key.secrets = secrets(connection, key.number)?;
    Ok(Some(key))
}

/// A key by number, deleted or not, with its secrets. Its workspace's id is `workspace`.
pub(crate) fn by_number(
    connection: &Connection,
    number: u32,
    workspace: impl FnOnce(WorkspaceNumber) -> Result<WorkspaceId, Fault>,
) -> Result<Option<ApiKey>, Fault> {
    let mut statement = connection.prepare_cached(sql::keys::BY_NUMBER)?;
    let mut rows = statement.query([number])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut key = read(row, workspace(WorkspaceNumber(row.get(2)?))?)?;
    key.secrets = secrets(connection, key.number)?;
    Ok(Some(key))
}

/// A key from its row, without its secrets.
pub(crate) fn read(row: &Row<'_>, workspace: WorkspaceId) -> Result<ApiKey, Fault> {
    Ok(ApiKey {
        number: KeyNumber(row.get(0)?),
        id: KeyId::from_bytes(bytes(row, 1)?),
        workspace,
        workspace_number: WorkspaceNumber(row.get(2)?),
        environment: variant(row, 3, Environment::from_u8)?,
        permissions: permissions(row, 4)?,
        created_by: creator(row, 5)?,
        created_at: time(row, 8)?,
        expires_at: optional_time(row, 9)?,
        disabled_at: optional_time(row, 10)?,
        enabled_at: optional_time(row, 20)?,
        revoked: revocation(row)?,
        deleted_at: optional_time(row, 12)?,
        limits: limits(row, 13)?,
        networks: networks(row, 14)?,
        external_id: optional_text(row, 15)?.map(str::to_owned),
        metadata: metadata(row, 16)?,
        name: text(row, 17)?.to_owned(),
        purpose: optional_text(row, 18)?.map(str::to_owned),
        secrets: Vec::new(),
    })
}

fn revocation(row: &Row<'_>) -> Result<Option<Revocation>, Fault> {
    let reason = optional_text(row, 19)?.map(str::to_owned);
    Ok(optional_time(row, 11)?.map(|at| Revocation { at, reason }))
}

/// Kind, id and membership of a key's creator.
pub(crate) fn creator(row: &Row<'_>, column: usize) -> Result<Creator, Fault> {
    Ok(Creator { principal: principal(row, column)?, membership: MembershipNumber(row.get(column + 2)?) })
}

/// A key's own windows.
pub(crate) fn limits(row: &Row<'_>, column: usize) -> Result<Option<Vec<LimitWindow>>, Fault> {
    optional_text(row, column)?
        .map(|text| serde_json::from_str(text).map_err(|_| unreadable(row, column)))
        .transpose()
}

/// A key's networks.
pub(crate) fn networks(row: &Row<'_>, column: usize) -> Result<Vec<IpNet>, Fault> {
    let Some(text) = optional_text(row, column)? else { return Ok(Vec::new()) };
    text.split(' ').map(|network| network.parse().map_err(|_| unreadable(row, column))).collect()
}

/// A key's metadata.
pub(crate) fn metadata(row: &Row<'_>, column: usize) -> Result<String, Fault> {
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

/// The secrets of a key, oldest first.
pub(crate) fn secrets(connection: &Connection, key: KeyNumber) -> Result<Vec<KeySecret>, Fault> {
    let mut statement = connection.prepare_cached(sql::keys::SECRETS)?;
    let mut rows = statement.query([key.0])?;
    let mut secrets = Vec::with_capacity(1);
    while let Some(row) = rows.next()? {
        secrets.push(KeySecret {
            ordinal: row.get(0)?,
            id: SecretId::from_bytes(bytes(row, 1)?),
            locator: locator(row, 2)?,
            digest: digest(row, 3)?,
            created_at: time(row, 5)?,
            expires_at: optional_time(row, 6)?,
            retired_at: optional_time(row, 7)?,
            hint: text(row, 8)?.to_owned(),
        });
    }
    Ok(secrets)
}

/// A locator.
pub(crate) fn locator(row: &Row<'_>, column: usize) -> Result<Locator, Fault> {
    let bytes = row.get_ref(column)?.as_bytes().map_err(|_| unreadable(row, column))?;
    Locator::parse(bytes).map_err(|_| unreadable(row, column))
}

/// Pepper and bytes of a digest.
pub(crate) fn digest(row: &Row<'_>, column: usize) -> Result<SecretDigest, Fault> {
    Ok(SecretDigest { pepper: row.get(column)?, bytes: bytes(row, column + 1)? })
}

/// Keeps a new key and its secrets.
pub(crate) fn insert(connection: &Connection, key: &ApiKey) -> Result<(), Fault> {
    let (creator_kind, creator_id) = principal_columns(key.created_by.principal);
    connection.prepare_cached(sql::keys::INSERT)?.execute(params![
        key.number.0,
        key.id.to_bytes(),
        key.workspace_number.0,
        key.environment as u8,
        permissions_column(key.permissions),
        creator_kind,
        creator_id,
        key.created_by.membership.0,
        key.created_at.unix_ms(),
        time_column(key.expires_at),
        time_column(key.disabled_at),
        time_column(key.revoked.as_ref().map(|revocation| revocation.at)),
        time_column(key.deleted_at),
        key.limits.as_deref().map(to_json),
        networks_column(&key.networks),
        key.external_id,
        metadata_column(&key.metadata),
        key.name,
        key.purpose,
        key.revoked.as_ref().and_then(|revocation| revocation.reason.as_deref()),
    ])?;
    key.secrets.iter().try_for_each(|secret| insert_secret(connection, key.number, secret))
}

fn insert_secret(connection: &Connection, key: KeyNumber, secret: &KeySecret) -> Result<(), Fault> {
    connection.prepare_cached(sql::keys::INSERT_SECRET)?.execute(params![
        key.0,
        secret.ordinal,
        secret.id.to_bytes(),
        secret.locator.as_str(),
        secret.digest.pepper,
        secret.digest.bytes,
        secret.created_at.unix_ms(),
        time_column(secret.expires_at),
        time_column(secret.retired_at),
        secret.hint,
    ])?;
    Ok(())
}

/// Keeps what changed from `before` to `after`.
pub(crate) fn update(connection: &Connection, before: &ApiKey, after: &ApiKey) -> Result<(), Fault> {
    connection.prepare_cached(sql::keys::UPDATE)?.execute(params![
        after.number.0,
        permissions_column(after.permissions),
        time_column(after.expires_at),
        time_column(after.disabled_at),
        time_column(after.revoked.as_ref().map(|revocation| revocation.at)),
        time_column(after.deleted_at),
        after.limits.as_deref().map(to_json),
        networks_column(&after.networks),
        after.external_id,
        metadata_column(&after.metadata),
        after.name,
        after.purpose,
        after.revoked.as_ref().and_then(|revocation| revocation.reason.as_deref()),
        time_column(after.enabled_at),
    ])?;
    let find = |key: &ApiKey, ordinal| key.secrets.iter().position(|secret| secret.ordinal == ordinal);
    for old in &before.secrets {
        match find(after, old.ordinal) {
            None => {
                connection
                    .prepare_cached(sql::keys::DELETE_SECRET)?
                    .execute(params![after.number.0, old.ordinal])?;
            }
            Some(place) if after.secrets[place] != *old => {
                update_secret(connection, after.number, &after.secrets[place])?;
            }
            Some(_) => {}
        }
    }
    for new in after.secrets.iter().filter(|secret| find(before, secret.ordinal).is_none()) {
        insert_secret(connection, after.number, new)?;
    }
    Ok(())
}

/// Keeps what may change of a secret.
pub(crate) fn update_secret(
    connection: &Connection,
    key: KeyNumber,
    secret: &KeySecret,
) -> Result<(), Fault> {
    connection.prepare_cached(sql::keys::UPDATE_SECRET)?.execute(params![
        key.0,
        secret.ordinal,
        secret.digest.pepper,
        secret.digest.bytes,
        time_column(secret.expires_at),
        time_column(secret.retired_at),
    ])?;
    Ok(())
}

/// Keeps an incident.
pub(crate) fn insert_incident(
    connection: &Connection,
    incident: &Incident,
    workspace: WorkspaceNumber,
) -> Result<(), Fault> {
    connection.prepare_cached(sql::keys::INSERT_INCIDENT)?.execute(params![
        incident.id.to_bytes(),
        workspace.0,
        incident.key.to_bytes(),
        incident.reason,
        incident.opened_at.unix_ms(),
    ])?;
    Ok(())
}

/// An incident from its row.
pub(crate) fn incident(row: &Row<'_>, workspace: WorkspaceId) -> Result<Incident, Fault> {
    Ok(Incident {
        id: IncidentId::from_bytes(bytes(row, 0)?),
        workspace,
        key: KeyId::from_bytes(bytes(row, 1)?),
        reason: optional_text(row, 2)?.map(str::to_owned),
        opened_at: time(row, 3)?,
    })
}

/// When a secret was last used, from its row.
pub(crate) fn last_used(row: &Row<'_>) -> Result<LastUsed, Fault> {
    Ok(LastUsed {
        secret_ordinal: row.get(0)?,
        at: Timestamp::from_unix_ms(row.get(1)?),
        address: address(row, 2)?,
        agent: variant(row, 3, AgentClass::from_u8)?,
    })
}

/// The number of the key with this id, if it is one of the workspace.
pub(crate) fn number_of(
    connection: &Connection,
    id: KeyId,
    workspace: WorkspaceNumber,
) -> Result<Option<u32>, Fault> {
    let mut statement = connection.prepare_cached(sql::keys::NUMBER_OF)?;
    Ok(statement.query_row(params![id.to_bytes(), workspace.0], |row| row.get(0)).optional()?)
}
