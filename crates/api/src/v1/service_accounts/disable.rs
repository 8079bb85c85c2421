//! `POST /v1/workspaces/{slug}/service-accounts/{id}/disable`

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

problems! { OwnerOnly, AlreadyApplied, IdempotencyMismatch }

/// Disable a service account
///
/// Needs `members:write`. When the answer is there, no node accepts one of its keys, until it is enabled again.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/service-accounts/{id}/disable", operation_id = "disable_service_account", tag = "Service accounts",
    params(ServiceAccountPath),
    responses((status = 200, description = "The service account now.", body = ChangedServiceAccount), Accepted<ChangedServiceAccount>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
) -> Result<Receipted<ChangedServiceAccount>, ApiError> {
    switch(&state, &scope, Switch::Off).await
}
