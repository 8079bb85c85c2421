//! `DELETE /v1/workspaces/{slug}/keys/{id}`

use axum::extract::State;
use http::StatusCode;
use keywright_domain::key::KeyChange;

use super::change;
use crate::{
    actor::{Scope, WriteKeys},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::KeyPath,
};

problems! {}

/// Delete a key
///
/// Needs `keys:write`. Revokes the key and takes it from the lists; the audit trail keeps it. When the answer is there,
/// no node accepts the key.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}/keys/{id}", operation_id = "delete_key", tag = "Keys",
    params(KeyPath),
    responses((status = 204, description = "It is gone."), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
) -> Result<StatusCode, ApiError> {
    let key = scope.key(&state).await?;
    change(&state, &scope, key, KeyChange::Delete, &[]).await?;
    Ok(StatusCode::NO_CONTENT)
}
