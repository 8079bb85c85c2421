//! `GET /v1/workspaces/{slug}/keys/{id}`

use axum::{Json, extract::State};

use crate::{
    actor::{ReadKeys, Scope},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{Key, KeyPath, KeyTexts, LastUses},
};

problems! {}

/// Get a key
///
/// Needs `keys:read`. The secret is never shown again.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/keys/{id}", operation_id = "get_key", tag = "Keys",
    params(KeyPath),
    responses((status = 200, description = "The key.", body = Key), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadKeys>,
) -> Result<Json<Key>, ApiError> {
    let key = scope.key(&state).await?;
    let last_uses = LastUses::of(&state, std::slice::from_ref(&key)).await?;
    let texts =
        KeyTexts { state: &state, workspace: &scope.workspace, last_uses: &last_uses, now: scope.now() };
    Ok(Json(texts.show(key)))
}
