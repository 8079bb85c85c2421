//! `POST /v1/workspaces/{slug}/service-accounts/{id}/enable`

use axum::extract::State;
use keywright_domain::member::Switch;

use super::{ChangedServiceAccount, switch};
use crate::{
    actor::{Scope, WriteMembers},
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Receipted, ServiceAccountPath},
};

problems! { PermissionEscalation, AlreadyApplied, IdempotencyMismatch }

/// Enable a service account
///
/// Needs `members:write`. Its keys work again, but for those that were revoked, disabled or have expired.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/service-accounts/{id}/enable", operation_id = "enable_service_account", tag = "Service accounts",
    params(ServiceAccountPath),
    responses((status = 200, description = "The service account now.", body = ChangedServiceAccount), Accepted<ChangedServiceAccount>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
) -> Result<Receipted<ChangedServiceAccount>, ApiError> {
    switch(&state, &scope, Switch::On).await
}
