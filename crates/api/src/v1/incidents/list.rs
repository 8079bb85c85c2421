//! `GET /v1/workspaces/{slug}/incidents`

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::{ReadKeys, Scope},
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Incident, Page, WorkspacePath, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// How many; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

problems! {}

/// List incidents
///
/// Needs `keys:read`. The newest, newest first.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/incidents", operation_id = "list_incidents", tag = "Keys",
    params(WorkspacePath, Request),
    responses((status = 200, description = "The newest incidents.", body = Page<Incident>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadKeys>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<Incident>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let incidents = state.store.incidents(scope.workspace.id, limit).await.map_err(of_store)?;
    Ok(Json(Page::whole(incidents.into_iter().map(Incident::from).collect())))
}
