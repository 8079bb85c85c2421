//! `GET /v1/audit/checkpoints`

use axum::{Json, extract::State};

use crate::{
    actor::Installation,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Checkpoint, Page},
};

problems! {}

/// Signed checkpoints of the audit trail
///
/// Operator only. Oldest first.
#[utoipa::path(
    get, path = "/v1/audit/checkpoints", operation_id = "list_audit_checkpoints", tag = "Audit",
    responses((status = 200, description = "All checkpoints.", body = Page<Checkpoint>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    _permitted: Installation,
) -> Result<Json<Page<Checkpoint>>, ApiError> {
    let checkpoints = state.store.checkpoints().await.map_err(of_store)?;
    Ok(Json(Page::whole(checkpoints.into_iter().map(Checkpoint::from).collect())))
}
