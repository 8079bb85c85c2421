//! `POST /v1/workspaces/{slug}/keys/hand-over`

use axum::extract::State;
use keywright_domain::{
    ids::{ServiceAccountId, UserId},
    member::{MemberCommand, MemberOutcome},
    principal::Principal,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::hand_over::HandedOver;
use crate::{
    actor::{Scope, WriteKeys},
    commit::unexpected,
    edge::StrictJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    v1::members::{account_id, change},
    wire::{MovedKeys, Receipted, WorkspacePath},
};

/// Whose keys go to whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HandOverKeys)]
pub(crate) struct Request {
    /// The person or the service account whose keys are handed over, also if the membership has ended.
    #[schema(pattern = "^(usr|sa)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    from: String,
    /// The service account that gets them.
    #[schema(pattern = "^sa_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "sa_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    to: String,
}

problems! { PermissionEscalation, Conflict, LimitReached, AlreadyApplied, IdempotencyMismatch }

/// Hand all keys of somebody over
///
/// Needs `keys:write`. All or none of the keys that are not revoked, at most 10,000 in one call, also those of memberships
/// that have ended. They go on working within the service account's permissions.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/hand-over", operation_id = "hand_over_keys", tag = "Keys",
    params(WorkspacePath),
    request_body(content = Request, example = json!({"from": "usr_01k9zq3v4w5x6y7z8a9b0c1d2e", "to": "sa_01k9zq3v4w5x6y7z8a9b0c1d2e"})),
    responses((status = 200, description = "What became of the keys.", body = HandedOver), Accepted<HandedOver>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: StrictJson<Request>,
) -> Result<Receipted<HandedOver>, ApiError> {
    let from = principal(&body.value.from)?;
    let to = account_id("to", &body.value.to)?;
    let (outcome, receipt) =
        change(&state, &scope, MemberCommand::HandOverKeys { from, to }, &body.raw).await?;
    let MemberOutcome::Keys(moved) = outcome else { return Err(unexpected()) };
    let keys = MovedKeys::new(&moved, &state.plane.catalogue());
    Ok(Receipted::new(receipt, |receipt| HandedOver { keys, receipt }))
}

fn principal(text: &str) -> Result<Principal, ApiError> {
    let user = UserId::parse(text).map(Principal::User);
    let found = user.or_else(|_| ServiceAccountId::parse(text).map(Principal::ServiceAccount));
    found.map_err(|_| {
        let detail = "`from` is the id of a person (`usr_…`) or of a service account (`sa_…`).";
        ApiError::invalid_field("from", detail)
    })
}
