//! `GET /v1/workspaces/{slug}/prompts/{prompt}/versions`

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Author;
use crate::{
    cursor::CursorScope,
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Page, PromptPath, PromptVersion, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

problems! { InvalidCursor }

/// List a prompt's versions
///
/// Needs `prompts:write`. Newest first, archived ones among them.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/prompts/{prompt}/versions", operation_id = "list_prompt_versions",
    tag = "Prompts", params(PromptPath, Request),
    responses((status = 200, description = "A page of versions.", body = Page<PromptVersion>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<PromptVersion>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let cursors = CursorScope::new("prompt_versions", &[&author.prompt.id.to_string()]);
    let before = cursors.decode_array(request.cursor.as_deref())?.map(u32::from_be_bytes);
    let page = state.store.prompt_versions(author.prompt.id, before, limit).await.map_err(of_store)?;
    let cursor = cursors.after(&page, |version| version.number.to_be_bytes());
    Ok(Json(Page::new(page.items.into_iter().map(Into::into).collect(), cursor)))
}
