//! `PUT /v1/users/{id}/consents/{name}`

use axum::{Json, extract::State};
use keywright_domain::ids::UserId;

use super::rights::{self, ConsentVersion, Consents};
use crate::{
    actor::Installation,
    edge::{StrictJson, StrictPath},
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    wire::ConsentPath,
};

problems! { LimitReached }

/// Record that a person consents
///
/// Operator only. To another version of the same, it takes the place of the one before; the same again changes nothing.
#[utoipa::path(
    put, path = "/v1/users/{id}/consents/{name}", operation_id = "give_consent", tag = "Privacy",
    params(ConsentPath),
    request_body(content = ConsentVersion, example = json!({"version": "2026-11"})),
    responses((status = 200, description = "The record, oldest first.", body = Consents), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath((id, name)): StrictPath<(String, String)>,
    StrictJson { value, .. }: StrictJson<ConsentVersion>,
) -> Result<Json<Consents>, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let context = caller.origin.context(&state, permit, None);
    rights::give(&state, &caller.origin, context, user, (&name, &value.version)).await.map(Json)
}
