//! `GET /v1/permissions`

use axum::{Json, extract::State};

use crate::{
    actor::Caller,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{Page, Permission},
};

problems! {}

/// List permissions
///
/// The whole catalogue of the installation. Any credential may read it.
#[utoipa::path(
    get, path = "/v1/permissions", operation_id = "list_permissions", tag = "Permissions",
    responses((status = 200, description = "All permissions.", body = Page<Permission>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    _caller: Caller,
) -> Result<Json<Page<Permission>>, ApiError> {
    let catalogue = state.plane.catalogue();
    Ok(Json(Page::whole(catalogue.entries().map(Permission::from).collect())))
}
