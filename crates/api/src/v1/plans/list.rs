//! `GET /v1/plans`

use axum::{Json, extract::State};

use crate::{
    actor::Caller,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Page, Plan},
};

problems! {}

/// List plans
///
/// By name. Any credential may read them.
#[utoipa::path(
    get, path = "/v1/plans", operation_id = "list_plans", tag = "Plans",
    responses((status = 200, description = "All plans.", body = Page<Plan>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    _caller: Caller,
) -> Result<Json<Page<Plan>>, ApiError> {
    let plans = state.store.plans().await.map_err(of_store)?;
    Ok(Json(Page::whole(plans.into_iter().map(Plan::from).collect())))
}
