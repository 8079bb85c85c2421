//! `POST /v1/workspaces/{slug}/keys/{id}/revoke`

use axum::{Json, extract::State};
use keywright_domain::key::KeyChange;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ChangedKey, change};
use crate::{
    actor::{Scope, WriteKeys},
    edge::OptionalJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::KeyPath,
};

/// Why a key is revoked.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeKey)]
pub(crate) struct Request {
    /// The reason, for the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

problems! {}

/// Revoke a key
///
/// Needs `keys:write`. Final. When the answer is there, no node accepts the key. Revoking it again changes nothing.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/revoke", operation_id = "revoke_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Option<Request>, example = json!({"reason": "The contractor left."})),
    responses((status = 200, description = "The key as it is now, and the receipt.", body = ChangedKey), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: OptionalJson<Request>,
) -> Result<Json<ChangedKey>, ApiError> {
    let key = scope.key(&state).await?;
    let revoke = KeyChange::Revoke { reason: body.value.reason };
    let changed = change(&state, &scope, key, revoke, &[]).await?;
    Ok(Json(changed.into()))
}
