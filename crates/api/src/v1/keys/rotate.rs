//! `POST /v1/workspaces/{slug}/keys/{id}/rotate`

use axum::{Json, extract::State};
use keywright_domain::key::KeyChange;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change;
use crate::{
    actor::{Scope, WriteKeys},
    edge::OptionalJson,
    error::ApiError,
    issue::{issue, kind_of},
    openapi::problems,
    state::AppState,
    wire::{Effective, Key, KeyPath, RevealedSecret},
};

/// How to rotate.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateKey)]
pub(crate) struct Request {
    /// How long the old secret goes on working, in seconds; that of the workspace's policy unless given. 0 ends it now.
    #[schema(maximum = 7_776_000)]
    overlap_seconds: Option<u32>,
}

/// A key with a new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedKey {
    /// The key as it is now.
    key: Key,
    /// The new secret. Shown once; it can not be retrieved again.
    secret: RevealedSecret,
    /// The receipt: without overlap, no node accepts the old secret any more.
    effective: Effective,
}

problems! {
    PermissionEscalation, KeyAlreadyRevoked, KeyNotActive, RotationInProgress, AlreadyApplied, IdempotencyMismatch,
}

/// Rotate a key
///
/// Needs `keys:write`. Issues a second secret; the old one works until the overlap ends. Id, limits, counters and
/// history of the key stay.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/rotate", operation_id = "rotate_key", tag = "Keys",
    params(KeyPath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Option<Request>, example = json!({"overlap_seconds": 172_800})),
    responses((status = 200, description = "The key and, once, its new secret.", body = RotatedKey), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: OptionalJson<Request>,
) -> Result<Json<RotatedKey>, ApiError> {
    let key = scope.key(&state).await?;
    let (secret, kept) = issue(&state, kind_of(key.environment), scope.now());
    let rotate = KeyChange::Rotate { secret: kept, overlap_seconds: body.value.overlap_seconds };
    let changed = change(&state, &scope, key, rotate, &body.raw).await?;
    Ok(Json(RotatedKey { key: changed.key, secret: RevealedSecret(secret), effective: changed.effective }))
}
