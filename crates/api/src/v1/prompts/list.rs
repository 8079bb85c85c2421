//! `GET /v1/workspaces/{slug}/prompts`

use axum::{Json, extract::State};
use keywright_domain::{
    ids::PromptId,
    prompt::{PromptFilter, PromptQuery},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::{Scope, WritePrompts},
    cursor::CursorScope,
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Page, Prompt, WorkspacePath, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The category, exactly.
    category: Option<String>,
    /// One of the tags, exactly.
    tag: Option<String>,
    /// Part of the slug or title, in any case.
    search: Option<String>,
    /// Only archived ones, or only those that are not; both unless given.
    archived: Option<bool>,
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

problems! { InvalidCursor }

/// List a workspace's prompts
///
/// Needs `prompts:write`: drafts and archived prompts are among them. Newest first. Applications list with
/// `GET /v1/prompts`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/prompts", operation_id = "list_prompts", tag = "Prompts",
    params(WorkspacePath, Request),
    responses((status = 200, description = "A page of prompts.", body = Page<Prompt>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WritePrompts>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<Prompt>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let workspace = scope.workspace.id;
    let Request { category, tag, search, archived, cursor, .. } = request;
    let filter = PromptFilter { category, tag, search, archived };
    let cursors = CursorScope::new("prompts", &[&workspace.to_string(), &format!("{filter:?}")]);
    let after = cursors.decode_array(cursor.as_deref())?.map(PromptId::from_bytes);
    let query = PromptQuery { workspace, filter, after, limit };
    let page = state.store.prompts(query).await.map_err(of_store)?;
    let cursor = cursors.after(&page, |prompt| prompt.id.to_bytes());
    let data = page.items.into_iter().map(|prompt| Prompt::new(prompt, &scope.workspace)).collect();
    Ok(Json(Page::new(data, cursor)))
}
