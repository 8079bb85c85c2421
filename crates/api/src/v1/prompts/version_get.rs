//! `GET /v1/workspaces/{slug}/prompts/{prompt}/versions/{version}`

use axum::{Json, extract::State};

use super::Author;
use crate::{
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{PromptVersion, VersionPath},
};

problems! {}

/// Read a version of a prompt
///
/// Needs `prompts:write`. `latest` is the newest one in service.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/prompts/{prompt}/versions/{version}", operation_id = "get_prompt_version",
    tag = "Prompts", params(VersionPath),
    responses((status = 200, description = "The version.", body = PromptVersion), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
) -> Result<Json<PromptVersion>, ApiError> {
    let found = state.store.prompt_version(author.prompt.id, author.version()?).await.map_err(of_store)?;
    Ok(Json(found.ok_or(ErrorCode::NotFound)?.into()))
}
