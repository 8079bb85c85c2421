//! `GET /v1/operators`

use axum::{Json, extract::State};

use crate::{
    actor::Installation,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Operator, Page},
};

problems! {}

/// List operator credentials
///
/// Operator only. Revoked ones included, oldest first.
#[utoipa::path(
    get, path = "/v1/operators", operation_id = "list_operators", tag = "Operators",
    responses((status = 200, description = "All operator credentials.", body = Page<Operator>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    _permitted: Installation,
) -> Result<Json<Page<Operator>>, ApiError> {
    let operators = state.store.operators().await.map_err(of_store)?;
    Ok(Json(Page::whole(operators.into_iter().map(Operator::from).collect())))
}
