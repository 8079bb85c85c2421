//! `POST /v1/invitations/lookup`

use axum::{Json, extract::State};
use keywright_domain::privacy::Who;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::digest_of;
use crate::{
    actor::Origin,
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Role, Time},
};

/// The token of an invitation's link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvitationToken)]
pub(crate) struct Request {
    /// What follows `#` in the link.
    #[schema(example = "kwi_…")]
    token: String,
}

/// What somebody is invited to.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationPreview {
    /// The workspace's name.
    #[schema(example = "Acme")]
    workspace_name: String,
    /// The address that is invited.
    #[schema(example = "ada@company.com")]
    email: String,
    /// The role.
    role: Role,
    /// When the link ends.
    expires_at: Time,
    /// Whether a password has to be chosen: nobody signs in with the address yet.
    needs_password: bool,
}

problems! { InvalidLink }

/// Look at an invitation
///
/// For the page behind the link. Changes nothing.
#[utoipa::path(
    post, path = "/v1/invitations/lookup", operation_id = "lookup_invitation", tag = "Accounts",
    request_body(content = Request, example = json!({"token": "kwi_…"})),
    responses((status = 200, description = "What somebody is invited to.", body = InvitationPreview), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    origin: Origin,
    body: StrictJson<Request>,
) -> Result<Json<InvitationPreview>, ApiError> {
    let found = state.store.invitation_by_digest(digest_of(&body.value.token)?).await.map_err(of_store)?;
    let found = found.filter(|(invitation, _)| invitation.is_open(origin.now));
    let (invitation, workspace) = found.ok_or(ErrorCode::InvalidLink)?;
    let user = state.store.person(Who::Id(invitation.user)).await.map_err(of_store)?;
    let user = user.filter(|_| !workspace.is_gone(origin.now)).ok_or(ErrorCode::InvalidLink)?;
    Ok(Json(InvitationPreview {
        workspace_name: workspace.name,
        email: user.email,
        role: invitation.role.into(),
        expires_at: invitation.expires_at.into(),
        needs_password: user.password_hash.is_none(),
    }))
}
