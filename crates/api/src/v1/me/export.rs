//! `GET /v1/me/export`

use axum::{extract::State, response::Response};
use http::HeaderMap;

use crate::{
    actor::Caller,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::users::{UserExport, export_as},
};

problems! {}

/// Export what is kept of me
///
/// Everything that is kept of the person who is signed in, as `GET /v1/users/{id}/export` gives it: one JSON document, or with
/// `Accept: application/zip` an archive of it with a CSV file for each list.
#[utoipa::path(
    get, path = "/v1/me/export", operation_id = "export_me", tag = "Privacy",
    responses((status = 200, description = "What is kept of the person.", body = UserExport), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    export_as(&state, &caller.origin, permit, signed_in.session.user, &headers).await
}
