//! `GET /v1/workspaces/{slug}/members/{id}`

use axum::{Json, extract::State};

use super::{membership, shown};
use crate::{
    actor::{ReadMembers, Scope},
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    wire::{Member, MemberPath},
};

problems! {}

/// Read a member
///
/// Needs `members:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/members/{id}", operation_id = "get_member", tag = "Members",
    params(MemberPath),
    responses((status = 200, description = "The member.", body = Member), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadMembers>,
) -> Result<Json<Member>, ApiError> {
    let membership = membership(&state, &scope).await?;
    let member = shown(&state, &[membership]).await?.pop();
    Ok(Json(member.ok_or(ErrorCode::NotFound)?))
}
