//! `DELETE /v1/workspaces/{slug}/service-accounts/{id}`

use axum::extract::State;
use keywright_domain::{ids::ServiceAccountId, member::MemberCommand};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{account_id, shown};
use crate::{
    actor::{Scope, WriteMembers},
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    v1::members::change,
    wire::{MovedKeys, Receipt, Receipted, ServiceAccountPath},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The service account that gets the keys in the same step, so that they go on working. Needs `keys:write`.
    hand_over_to: Option<String>,
}

/// A service account that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeletedServiceAccount {
    /// Its id.
    #[schema(example = "sa_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    id: String,
    /// What became of its keys.
    keys: MovedKeys,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! { PermissionEscalation, OwnerOnly, Conflict, LimitReached }

/// Delete a service account
///
/// Needs `members:write`. Its keys stop in the same moment, or are handed over to another service account: when the
/// answer is there, no node accepts a key that stopped.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}/service-accounts/{id}", operation_id = "delete_service_account", tag = "Service accounts",
    params(ServiceAccountPath, Request),
    responses((status = 200, description = "What became of its keys.", body = DeletedServiceAccount), Accepted<DeletedServiceAccount>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Receipted<DeletedServiceAccount>, ApiError> {
    let account = account_id(&scope)?;
    let hand_over_to = request.hand_over_to.map(|id| ServiceAccountId::parse(&id)).transpose();
    let hand_over_to = hand_over_to.map_err(|_| {
        ApiError::with_detail(ErrorCode::InvalidQuery, "`hand_over_to` is the id of a service account.")
            .member("field", "hand_over_to")
    })?;
    let command = MemberCommand::DeleteServiceAccount { account, hand_over_to };
    let (outcome, receipt) = change(&state, &scope, command, &[]).await?;
    let (_, moved) = shown(&state, outcome)?;
    let keys = MovedKeys::new(&moved, &state.plane.catalogue());
    let id = account.to_string();
    Ok(Receipted::new(receipt, |receipt| DeletedServiceAccount { id, keys, receipt }))
}
