//! `GET /v1/workspaces/{slug}/usage`

use axum::{Json, extract::State};

use super::Period;
use crate::{
    actor::{ReadUsage, Scope},
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Usage, WorkspacePath},
};

problems! {}

/// Usage of a workspace
///
/// Needs `usage:read`. Sums over all keys, deleted ones included.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/usage", operation_id = "get_workspace_usage", tag = "Usage",
    params(WorkspacePath, Period),
    responses((status = 200, description = "Totals and a series.", body = Usage), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadUsage>,
    StrictQuery(period): StrictQuery<Period>,
) -> Result<Json<Usage>, ApiError> {
    let query = period.query(&scope.workspace, None, scope.now())?;
    let buckets = state.store.usage(query.clone()).await.map_err(of_store)?;
    Ok(Json(Usage::new(&query, buckets, None)))
}
