//! `POST /v1/workspaces/{slug}/keys/{id}/enable`

use axum::extract::State;
use keywright_domain::key::KeyChange;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ChangedKey, change};
use crate::{
    actor::{Place, WriteKeys},
    edge::OptionalJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{KeyPath, Receipted},
};

/// Nothing needs to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnableKey)]
pub(crate) struct Request {}

problems! { KeyAlreadyRevoked }

/// Enable a key
///
/// Needs `keys:write`. Takes back a disabling.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/enable", operation_id = "enable_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Option<Request>, example = json!({})),
    responses((status = 200, description = "The key as it is now.", body = ChangedKey), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    place: Place<WriteKeys>,
    _body: OptionalJson<Request>,
) -> Result<Receipted<ChangedKey>, ApiError> {
    let changed = change(&state, &place, KeyChange::Enable, &[]).await?;
    Ok(changed.into())
}
