//! `DELETE /v1/workspaces/{slug}/invitations/{id}`

use axum::extract::State;
use http::StatusCode;
use keywright_domain::account::InvitationCommand;

use super::{change, invitation_id};
use crate::{
    actor::{Scope, WriteMembers},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::InvitationPath,
};

problems! { OwnerOnly }

/// Withdraw an invitation
///
/// Needs `members:write`. Its link is not good any more; the address is forgotten, unless somebody signs in with it.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}/invitations/{id}", operation_id = "withdraw_invitation", tag = "Members",
    params(InvitationPath),
    responses((status = 204, description = "It is withdrawn."), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
) -> Result<StatusCode, ApiError> {
    let command = InvitationCommand::Withdraw(invitation_id(&scope)?);
    change(&state, &scope, command, b"").await?;
    Ok(StatusCode::NO_CONTENT)
}
