//! `POST /v1/workspaces/{slug}/keys/{id}/rotate/complete`

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
#[schema(as = CompleteRotation)]
pub(crate) struct Request {}

problems! { KeyAlreadyRevoked, NoRotationInProgress }

/// Complete a rotation
///
/// Needs `keys:write`. Ends the overlap: when the answer is there, no node accepts the old secret.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/rotate/complete", operation_id = "complete_rotation", tag = "Keys",
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
    let changed = change(&state, &scope, key, KeyChange::CompleteRotation, &[]).await?;
    Ok(Json(changed.into()))
}
