//! `GET /v1/me/consents`

use axum::{Json, extract::State};

use crate::{
    actor::Caller,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::users::rights::{self, Consents},
};

problems! {}

/// List what I consented to
///
/// Also what was withdrawn, and versions that others took the place of. Only for sessions.
#[utoipa::path(
    get, path = "/v1/me/consents", operation_id = "list_my_consents", tag = "Privacy",
    responses((status = 200, description = "The record, oldest first.", body = Consents), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Consents>, ApiError> {
    let (signed_in, _permit) = caller.own_account()?;
    rights::consents(&state, signed_in.session.user).await.map(Json)
}
