//! `POST /v1/workspaces/{slug}/keys/{id}/hand-over`

use axum::extract::State;
use keywright_domain::member::{MemberCommand, MemberOutcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::{Scope, WriteKeys},
    commit::unexpected,
    edge::StrictJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    v1::members::{account_id, change},
    wire::{KeyPath, MovedKeys, Receipt, Receipted},
};

/// Who gets the key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HandOverKey)]
pub(crate) struct Request {
    /// The service account.
    #[schema(pattern = "^sa_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "sa_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    to: String,
}

/// Keys that were handed over.
#[derive(Serialize, ToSchema)]
pub(crate) struct HandedOver {
    /// What became of them.
    pub(super) keys: MovedKeys,
    #[serde(flatten)]
    pub(super) receipt: Receipt,
}

problems! { PermissionEscalation, KeyAlreadyRevoked, Conflict, AlreadyApplied, IdempotencyMismatch }

/// Hand a key over
///
/// Needs `keys:write`. The key belongs to the service account from now on and goes on working within its permissions;
/// what it loses by that, no node gives any more when the answer is there. Also for keys whose creator has left.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/hand-over", operation_id = "hand_over_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Request, example = json!({"to": "sa_01k9zq3v4w5x6y7z8a9b0c1d2e"})),
    responses((status = 200, description = "What became of the key.", body = HandedOver), Accepted<HandedOver>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: StrictJson<Request>,
) -> Result<Receipted<HandedOver>, ApiError> {
    let key = scope.key(&state).await?.id;
    let to = account_id("to", &body.value.to)?;
    let (outcome, receipt) =
        change(&state, &scope, MemberCommand::HandOverKey { key, to }, &body.raw).await?;
    let MemberOutcome::Keys(moved) = outcome else { return Err(unexpected()) };
    let keys = MovedKeys::new(&moved, &state.plane.catalogue());
    Ok(Receipted::new(receipt, |receipt| HandedOver { keys, receipt }))
}
