//! `GET /v1/workspaces/{slug}`

use axum::{Json, extract::State};

use crate::{
    actor::{ReadWorkspace, Scope},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{Workspace, WorkspacePath},
};

problems! {}

/// Get a workspace
///
/// Needs `workspace:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}", operation_id = "get_workspace", tag = "Workspaces",
    params(WorkspacePath),
    responses((status = 200, description = "The workspace.", body = Workspace), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadWorkspace>,
) -> Result<Json<Workspace>, ApiError> {
    Ok(Json(Workspace::new(scope.workspace, &state.plane.catalogue())))
}
