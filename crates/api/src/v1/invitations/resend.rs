//! `POST /v1/workspaces/{slug}/invitations/{id}/resend`

use axum::{Json, extract::State};
use keywright_domain::account::InvitationCommand;

use super::{SentInvitation, change, invitation_id, send};
use crate::{
    actor::{Scope, WriteMembers},
    commit::unexpected,
    error::ApiError,
    one_time::{OneTimeToken, Purpose},
    openapi::problems,
    state::AppState,
    wire::InvitationPath,
};

problems! { PermissionEscalation, OwnerOnly }

/// Send an invitation again
///
/// Needs `members:write`. With a new link, good for another 7 days; the one before is not good any more. Whoever sends it
/// counts as the inviter from now on.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/invitations/{id}/resend", operation_id = "resend_invitation", tag = "Members",
    params(InvitationPath),
    responses((status = 200, description = "The invitation now.", body = SentInvitation), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
) -> Result<Json<SentInvitation>, ApiError> {
    let token = OneTimeToken::generate(Purpose::Invitation, &*state.entropy);
    let command = InvitationCommand::Resend { invitation: invitation_id(&scope)?, digest: token.digest() };
    let made = change(&state, &scope, command, b"").await?.pop();
    let (invitation, email) = made.ok_or_else(unexpected)?;
    Ok(Json(send(&state, &scope.workspace, &invitation, email, &token).await))
}
