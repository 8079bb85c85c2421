//! `GET /v1/users/{id}/consents`

use axum::{Json, extract::State};
use keywright_domain::ids::UserId;

use super::rights::{self, Consents};
use crate::{
    actor::Installation,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    wire::UserPath,
};

problems! {}

/// List what a person consented to
///
/// Operator only. Also what was withdrawn, and versions that others took the place of.
#[utoipa::path(
    get, path = "/v1/users/{id}/consents", operation_id = "list_consents", tag = "Privacy",
    params(UserPath),
    responses((status = 200, description = "The record, oldest first.", body = Consents), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    _permitted: Installation,
    StrictPath(id): StrictPath<String>,
) -> Result<Json<Consents>, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    rights::consents(&state, user).await.map(Json)
}
