//! `GET /v1/workspaces/{slug}/keys/{id}/usage`

use axum::{Json, extract::State};

use super::Period;
use crate::{
    actor::{ReadUsage, Scope},
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{KeyPath, LastUses, Usage},
};

problems! {}

/// Usage of a key
///
/// Needs `usage:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/keys/{id}/usage", operation_id = "get_key_usage", tag = "Usage",
    params(KeyPath, Period),
    responses((status = 200, description = "Totals and a series.", body = Usage), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadUsage>,
    StrictQuery(period): StrictQuery<Period>,
) -> Result<Json<Usage>, ApiError> {
    let key = scope.key(&state).await?;
    let query = period.query(&scope.workspace, Some(key.number), scope.now())?;
    let buckets = state.store.usage(query.clone()).await.map_err(of_store)?;
    let last_uses = LastUses::of(&state, std::slice::from_ref(&key)).await?;
    Ok(Json(Usage::new(&query, buckets, last_uses.key(key.number))))
}
