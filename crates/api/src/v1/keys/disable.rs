//! `POST /v1/workspaces/{slug}/keys/{id}/disable`

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

/// Nothing needs to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DisableKey)]
pub(crate) struct Request {}

problems! { KeyAlreadyRevoked }

/// Disable a key
///
/// Needs `keys:write`. Reversible. When the answer is there, no node accepts the key.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/disable", operation_id = "disable_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Option<Request>, example = json!({})),
    responses((status = 200, description = "The key as it is now.", body = ChangedKey), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    _body: OptionalJson<Request>,
) -> Result<Json<ChangedKey>, ApiError> {
    let key = scope.key(&state).await?;
    let changed = change(&state, &scope, key, KeyChange::Disable, &[]).await?;
    Ok(Json(changed.into()))
}
