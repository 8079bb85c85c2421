//! Invitations, links that give a new password, second factors and recovery codes.

use keywright_domain::{
    account::{Invitation, Recovery, SecondFactor, TokenDigest},
    ids::{InvitationId, UserId, WorkspaceId},
    permission::Role,
    principal::{Creator, MembershipNumber},
    time::Timestamp,
    workspace::WorkspaceNumber,
};
use tokio_postgres::Row;

use super::{
    bytes, is_null, number, optional_time, permissions, permissions_column, principal, principal_columns,
    time, variant,
};
use crate::{connect::Param, fault::Fault, params, sealing::Sealing};

/// An invitation from its row.
pub(crate) fn invitation(row: &Row) -> Result<Invitation, Fault> {
    Ok(Invitation {
        id: InvitationId::from_bytes(bytes(row, 0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        user: UserId::from_bytes(bytes(row, 2)?),
        role: variant(row, 3, Role::from_u8)?,
        narrowed_to: if is_null(row, 4)? { None } else { Some(permissions(row, 4)?) },
        invited_by: Creator { principal: principal(row, 5)?, membership: MembershipNumber(number(row, 7)?) },
        created_at: time(row, 8)?,
        sent_at: time(row, 9)?,
        expires_at: time(row, 10)?,
    })
}

/// The parameters of a new invitation.
pub(crate) fn invitation_params(
    invitation: &Invitation,
    workspace: WorkspaceNumber,
    digest: TokenDigest,
) -> Vec<Param> {
    let (kind, id) = principal_columns(invitation.invited_by.principal);
    params![
        invitation.id.to_bytes(),
        workspace.0,
        invitation.user.to_bytes(),
        digest.0,
        i64::from(invitation.role as u8),
        invitation.narrowed_to.map(permissions_column),
        kind,
        id,
        invitation.invited_by.membership.0,
        invitation.created_at,
        invitation.sent_at,
        invitation.expires_at,
    ]
}

/// The parameters of a new link.
pub(crate) fn resend_params(invitation: &Invitation, digest: TokenDigest) -> Vec<Param> {
    let (kind, id) = principal_columns(invitation.invited_by.principal);
    params![
        invitation.id.to_bytes(),
        digest.0,
        kind,
        id,
        invitation.invited_by.membership.0,
        invitation.sent_at,
        invitation.expires_at,
    ]
}

/// An invitation and whom it is for, from their row.
pub(crate) fn stale(row: &Row) -> Result<(InvitationId, UserId), Fault> {
    Ok((InvitationId::from_bytes(bytes(row, 0)?), UserId::from_bytes(bytes(row, 1)?)))
}

/// Whose password a link sets, from its row.
pub(crate) fn recovery(row: &Row) -> Result<Recovery, Fault> {
    Ok(Recovery { user: UserId::from_bytes(bytes(row, 0)?), expires_at: time(row, 1)? })
}

/// A second factor from its row.
pub(crate) fn factor(row: &Row, user: UserId, sealing: &Sealing) -> Result<SecondFactor, Fault> {
    Ok(SecondFactor {
        secret: sealing.open_factor(row, user)?,
        created_at: time(row, 3)?,
        enabled_at: optional_time(row, 4)?,
        last_step: number(row, 5)?,
        codes_left: number(row, 6)?,
    })
}

/// Since when a second factor counts, and its last step, from its row.
pub(crate) fn factor_state(row: &Row) -> Result<(Option<Timestamp>, u64), Fault> {
    Ok((optional_time(row, 0)?, number(row, 1)?))
}
