//! Members and service accounts.

use keywright_domain::{
    ids::{KeyId, ServiceAccountId, WorkspaceId},
    key::ApiKey,
    member::{MemberQuery, ServiceAccount},
    permission::Role,
    principal::{Membership, MembershipNumber, Principal},
    query::Page,
    workspace::WorkspaceNumber,
};
use rusqlite::{Connection, Row, params};

use super::{
    bytes,
    installation::{all, first},
    optional_text, optional_time, permissions, permissions_column, principal, principal_columns, text, time,
    time_column, variant,
};
use crate::{
    fault::Fault,
    read::journal::cut,
    sql::{installation as installation_sql, members as sql},
};

/// A membership from its row.
pub(crate) fn membership(row: &Row<'_>) -> Result<Membership, Fault> {
    let narrowed = row.get_ref(5)? != rusqlite::types::ValueRef::Null;
    Ok(Membership {
        number: MembershipNumber(row.get(0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        principal: principal(row, 2)?,
        role: variant(row, 4, Role::from_u8)?,
        narrowed_to: if narrowed { Some(permissions(row, 5)?) } else { None },
        created_at: time(row, 6)?,
        ended_at: optional_time(row, 7)?,
        disabled_at: optional_time(row, 8)?,
    })
}

/// The membership of a principal that has not ended.
pub(crate) fn of_principal(
    connection: &Connection,
    workspace: WorkspaceId,
    member: Principal,
) -> Result<Option<Membership>, Fault> {
    let (kind, id) = principal_columns(member);
    first(connection, sql::OF_PRINCIPAL, params![workspace.to_bytes(), kind, id], membership)
}

/// A membership by number, ended or not.
pub(crate) fn by_number(
    connection: &Connection,
    number: MembershipNumber,
) -> Result<Option<Membership>, Fault> {
    first(connection, installation_sql::MEMBERSHIP_BY_NUMBER, [number.0], membership)
}

/// A page of the people who are members.
pub(crate) fn people_page(connection: &Connection, query: &MemberQuery) -> Result<Page<Membership>, Fault> {
    Ok(cut(all(connection, sql::PEOPLE, page_params(query), membership)?, query.limit))
}

/// A page of service accounts.
pub(crate) fn accounts_page(
    connection: &Connection,
    query: &MemberQuery,
) -> Result<Page<(ServiceAccount, Membership)>, Fault> {
    Ok(cut(all(connection, sql::ACCOUNTS, page_params(query), account)?, query.limit))
}

fn page_params(query: &MemberQuery) -> impl rusqlite::Params {
    (
        query.workspace.to_bytes(),
        query.after.map_or(0, |number| number.0),
        query.role.map(|role| role as u8),
        u64::from(query.limit) + 1,
    )
}

/// How many people have a role.
pub(crate) fn count_role(
    connection: &Connection,
    workspace: WorkspaceNumber,
    role: Role,
) -> Result<u64, Fault> {
    super::installation::count(connection, sql::COUNT_ROLE, params![workspace.0, role as u8])
}

/// Keeps what may change of a membership.
pub(crate) fn update(connection: &Connection, membership: &Membership) -> Result<(), Fault> {
    connection.prepare_cached(sql::UPDATE)?.execute(params![
        membership.number.0,
        membership.role as u8,
        membership.narrowed_to.map(permissions_column),
        time_column(membership.disabled_at),
        time_column(membership.ended_at),
    ])?;
    Ok(())
}

/// A service account with its membership, from their row.
pub(crate) fn account(row: &Row<'_>) -> Result<(ServiceAccount, Membership), Fault> {
    let membership = membership(row)?;
    let account = ServiceAccount {
        id: ServiceAccountId::from_bytes(bytes(row, 9)?),
        workspace: membership.workspace,
        membership: membership.number,
        name: text(row, 10)?.to_owned(),
        email: text(row, 11)?.to_owned(),
        purpose: optional_text(row, 12)?.map(str::to_owned),
        owning_team: optional_text(row, 13)?.map(str::to_owned),
        created_by: principal(row, 14)?,
        created_at: time(row, 16)?,
        deleted_at: optional_time(row, 17)?,
    };
    Ok((account, membership))
}

/// A service account of a workspace that is not deleted.
pub(crate) fn account_by_id(
    connection: &Connection,
    workspace: WorkspaceId,
    id: ServiceAccountId,
) -> Result<Option<(ServiceAccount, Membership)>, Fault> {
    let found = first(connection, sql::ACCOUNT, params![id.to_bytes(), workspace.to_bytes()], account)?;
    Ok(found.filter(|(account, _)| account.deleted_at.is_none()))
}

/// Whether a service account other than `own` has an identity.
pub(crate) fn is_email_taken(
    connection: &Connection,
    workspace: WorkspaceNumber,
    email: &str,
    own: ServiceAccountId,
) -> Result<bool, Fault> {
    let holder = first(connection, sql::ACCOUNT_BY_EMAIL, params![workspace.0, email], |row| bytes(row, 0))?;
    Ok(holder.is_some_and(|id| id != own.to_bytes()))
}

/// Keeps a new service account.
pub(crate) fn insert_account(
    connection: &Connection,
    account: &ServiceAccount,
    workspace: WorkspaceNumber,
) -> Result<(), Fault> {
    let (kind, id) = principal_columns(account.created_by);
    connection.prepare_cached(sql::INSERT_ACCOUNT)?.execute(params![
        account.membership.0,
        account.id.to_bytes(),
        workspace.0,
        account.name,
        account.email,
        account.purpose,
        account.owning_team,
        kind,
        id,
        account.created_at.unix_ms(),
        time_column(account.deleted_at),
    ])?;
    Ok(())
}

/// Keeps what may change of a service account.
pub(crate) fn update_account(connection: &Connection, account: &ServiceAccount) -> Result<(), Fault> {
    connection.prepare_cached(sql::UPDATE_ACCOUNT)?.execute(params![
        account.membership.0,
        account.name,
        account.email,
        account.purpose,
        account.owning_team,
        time_column(account.deleted_at),
    ])?;
    Ok(())
}

/// The keys of a principal that are not revoked, at most `limit`.
pub(crate) fn keys_of(
    connection: &Connection,
    owner: Principal,
    workspace: WorkspaceNumber,
    limit: u32,
) -> Result<Vec<KeyId>, Fault> {
    let (kind, id) = principal_columns(owner);
    all(connection, sql::KEYS_OF, params![kind, id, workspace.0, limit], |row| {
        Ok(KeyId::from_bytes(bytes(row, 0)?))
    })
}

/// Keeps whose a key is.
pub(crate) fn set_creator(connection: &Connection, key: &ApiKey) -> Result<(), Fault> {
    let (kind, id) = principal_columns(key.created_by.principal);
    connection.prepare_cached(sql::SET_CREATOR)?.execute(params![
        key.number.0,
        kind,
        id,
        key.created_by.membership.0
    ])?;
    Ok(())
}
