//! `GET /v1/workspaces/{slug}/service-accounts/{id}`

use axum::{Json, extract::State};

use super::account_id;
use crate::{
    actor::{ReadMembers, Scope},
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{ServiceAccount, ServiceAccountPath},
};

problems! {}

/// Read a service account
///
/// Needs `members:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/service-accounts/{id}", operation_id = "get_service_account", tag = "Service accounts",
    params(ServiceAccountPath),
    responses((status = 200, description = "The service account.", body = ServiceAccount), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadMembers>,
) -> Result<Json<ServiceAccount>, ApiError> {
    let id = account_id(&scope)?;
    let found = state.store.service_account(scope.workspace.id, id).await.map_err(of_store)?;
    let (account, membership) = found.ok_or(ErrorCode::NotFound)?;
    Ok(Json(ServiceAccount::new(account, &membership, &state.plane.catalogue())))
}
