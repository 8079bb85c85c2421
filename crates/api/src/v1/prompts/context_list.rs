//! `GET /v1/workspaces/{slug}/prompts/{prompt}/context`

use axum::{Json, extract::State};

use super::Author;
use crate::{
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{ContextItem, Page, PromptPath},
};

problems! {}

/// List a prompt's context items
///
/// Needs `prompts:write`. All of them on one page, oldest first, those of older versions among them.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/prompts/{prompt}/context", operation_id = "list_prompt_context",
    tag = "Prompts", params(PromptPath),
    responses((status = 200, description = "The items.", body = Page<ContextItem>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
) -> Result<Json<Page<ContextItem>>, ApiError> {
    let items = state.store.context_items(author.prompt.id).await.map_err(of_store)?;
    Ok(Json(Page::whole(items.into_iter().map(Into::into).collect())))
}
