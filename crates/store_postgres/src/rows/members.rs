//! Members and service accounts.

use keywright_domain::{
    ids::{ServiceAccountId, WorkspaceId},
    key::ApiKey,
    member::{MemberQuery, ServiceAccount},
    permission::Role,
    principal::{Membership, MembershipNumber},
    workspace::WorkspaceNumber,
};
use tokio_postgres::Row;

use super::{
    bytes, is_null, number, optional_text, optional_time, permissions, permissions_column, principal,
    principal_columns, text, time, variant,
};
use crate::{connect::Param, fault::Fault, params};

/// A membership from its row.
pub(crate) fn membership(row: &Row) -> Result<Membership, Fault> {
    Ok(Membership {
        number: MembershipNumber(number(row, 0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        principal: principal(row, 2)?,
        role: variant(row, 4, Role::from_u8)?,
        narrowed_to: if is_null(row, 5)? { None } else { Some(permissions(row, 5)?) },
        created_at: time(row, 6)?,
        ended_at: optional_time(row, 7)?,
        disabled_at: optional_time(row, 8)?,
    })
}

/// The parameters of a page of members or of service accounts.
pub(crate) fn page_params(query: &MemberQuery) -> Vec<Param> {
    params![
        query.workspace.to_bytes(),
        query.after.map_or(0, |after| after.0),
        query.role.map(|role| i64::from(role as u8)),
        u64::from(query.limit) + 1,
    ]
}

/// The parameters of what may change of a membership.
pub(crate) fn update_params(membership: &Membership) -> Vec<Param> {
    params![
        membership.number.0,
        i64::from(membership.role as u8),
        membership.narrowed_to.map(permissions_column),
        membership.disabled_at,
        membership.ended_at,
    ]
}

/// A service account with its membership, from their row.
pub(crate) fn account(row: &Row) -> Result<(ServiceAccount, Membership), Fault> {
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

/// The parameters of a new service account.
pub(crate) fn insert_account_params(account: &ServiceAccount, workspace: WorkspaceNumber) -> Vec<Param> {
    let (kind, id) = principal_columns(account.created_by);
    params![
        account.membership.0,
        account.id.to_bytes(),
        workspace.0,
        &account.name,
        &account.email,
        account.purpose.as_deref(),
        account.owning_team.as_deref(),
        kind,
        id,
        account.created_at,
        account.deleted_at,
    ]
}

/// The parameters of what may change of a service account.
pub(crate) fn update_account_params(account: &ServiceAccount) -> Vec<Param> {
    params![
        account.membership.0,
        &account.name,
        &account.email,
        account.purpose.as_deref(),
        account.owning_team.as_deref(),
        account.deleted_at,
    ]
}

/// The parameters of whose a key is.
pub(crate) fn creator_params(key: &ApiKey) -> Vec<Param> {
    let (kind, id) = principal_columns(key.created_by.principal);
    params![key.number.0, kind, id, key.created_by.membership.0]
}
