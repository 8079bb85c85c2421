//! Invitations, links that give a new password, second factors and recovery codes.

use keywright_domain::{
    account::{Invitation, Recovery, SecondFactor, TokenDigest},
    ids::{InvitationId, UserId, WorkspaceId},
    permission::Role,
    principal::{Creator, MembershipNumber},
    query::Page,
    time::Timestamp,
    workspace::WorkspaceNumber,
};
use rusqlite::{Connection, Row, params, types::ValueRef};

use super::{
    bytes,
    installation::{all, first},
    optional_time, permissions, permissions_column, principal, principal_columns, time, variant,
};
use crate::{fault::Fault, sealing::Sealing, sql::invitations as sql};

fn invitation(row: &Row<'_>) -> Result<Invitation, Fault> {
    let is_narrowed = row.get_ref(4)? != ValueRef::Null;
    Ok(Invitation {
        id: InvitationId::from_bytes(bytes(row, 0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        user: UserId::from_bytes(bytes(row, 2)?),
        role: variant(row, 3, Role::from_u8)?,
        narrowed_to: if is_narrowed { Some(permissions(row, 4)?) } else { None },
        invited_by: Creator { principal: principal(row, 5)?, membership: MembershipNumber(row.get(7)?) },
        created_at: time(row, 8)?,
        sent_at: time(row, 9)?,
        expires_at: time(row, 10)?,
    })
}

/// An invitation of a workspace.
pub(crate) fn by_id(
    connection: &Connection,
    workspace: WorkspaceId,
    id: InvitationId,
) -> Result<Option<Invitation>, Fault> {
    first(connection, sql::INVITATION, params![id.to_bytes(), workspace.to_bytes()], invitation)
}

/// The invitation that a token belongs to.
pub(crate) fn by_digest(connection: &Connection, digest: TokenDigest) -> Result<Option<Invitation>, Fault> {
    first(connection, sql::INVITATION_BY_DIGEST, [digest.0], invitation)
}

/// The invitation of a person to a workspace.
pub(crate) fn of_user(
    connection: &Connection,
    workspace: WorkspaceNumber,
    user: UserId,
) -> Result<Option<Invitation>, Fault> {
    first(connection, sql::INVITATION_OF, params![workspace.0, user.to_bytes()], invitation)
}

/// A page of the invitations of a workspace, oldest first.
pub(crate) fn page(
    connection: &Connection,
    workspace: WorkspaceId,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<Page<Invitation>, Fault> {
    let after = after.map_or([0; 16], InvitationId::to_bytes);
    let values = params![workspace.to_bytes(), after, limit.saturating_add(1)];
    let mut items = all(connection, sql::INVITATIONS, values, invitation)?;
    let has_more = items.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Page { items, has_more })
}

/// Keeps a new invitation.
pub(crate) fn insert(
    connection: &Connection,
    invitation: &Invitation,
    workspace: WorkspaceNumber,
    digest: TokenDigest,
) -> Result<(), Fault> {
    let (kind, id) = principal_columns(invitation.invited_by.principal);
    connection.prepare_cached(sql::INSERT_INVITATION)?.execute(params![
        invitation.id.to_bytes(),
        workspace.0,
        invitation.user.to_bytes(),
        digest.0,
        invitation.role as u8,
        invitation.narrowed_to.map(permissions_column),
        kind,
        id,
        invitation.invited_by.membership.0,
        invitation.created_at.unix_ms(),
        invitation.sent_at.unix_ms(),
        invitation.expires_at.unix_ms(),
    ])?;
    Ok(())
}

/// Keeps the new link of an invitation.
pub(crate) fn resend(
    connection: &Connection,
    invitation: &Invitation,
    digest: TokenDigest,
) -> Result<(), Fault> {
    let (kind, id) = principal_columns(invitation.invited_by.principal);
    connection.prepare_cached(sql::RESEND)?.execute(params![
        invitation.id.to_bytes(),
        digest.0,
        kind,
        id,
        invitation.invited_by.membership.0,
        invitation.sent_at.unix_ms(),
        invitation.expires_at.unix_ms(),
    ])?;
    Ok(())
}

/// Invitations whose link ended long ago, and whom they were for.
pub(crate) fn stale(
    connection: &Connection,
    ended_before: Timestamp,
    limit: u32,
) -> Result<Vec<(InvitationId, UserId)>, Fault> {
    all(connection, sql::STALE_INVITATIONS, params![ended_before.unix_ms(), limit], |row| {
        Ok((InvitationId::from_bytes(bytes(row, 0)?), UserId::from_bytes(bytes(row, 1)?)))
    })
}

/// Whose password a link sets.
pub(crate) fn recovery(connection: &Connection, digest: TokenDigest) -> Result<Option<Recovery>, Fault> {
    first(connection, sql::RECOVERY_BY_DIGEST, [digest.0], |row| {
        Ok(Recovery { user: UserId::from_bytes(bytes(row, 0)?), expires_at: time(row, 1)? })
    })
}

/// The second factor of an account.
pub(crate) fn factor(
    connection: &Connection,
    sealing: &Sealing,
    user: UserId,
) -> Result<Option<SecondFactor>, Fault> {
    first(connection, sql::FACTOR, [user.to_bytes()], |row| {
        Ok(SecondFactor {
            secret: sealing.open_factor(row, user)?,
            created_at: time(row, 3)?,
            enabled_at: optional_time(row, 4)?,
            last_step: row.get(5)?,
            codes_left: row.get(6)?,
        })
    })
}

/// Since when the second factor of an account counts, and its last step.
pub(crate) fn factor_state(
    connection: &Connection,
    user: UserId,
) -> Result<Option<(Option<Timestamp>, u64)>, Fault> {
    first(connection, sql::FACTOR_STATE, [user.to_bytes()], |row| Ok((optional_time(row, 0)?, row.get(1)?)))
}
