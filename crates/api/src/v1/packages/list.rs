//! `GET /v1/prompts`

use axum::{extract::State, response::Response};
use keywright_domain::{
    ids::PromptId,
    prompt::{ServeQuery, Served},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{json_answer, rendered, visibility};
use crate::{
    cursor::CursorScope,
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    hot::{Admitted, ListPrompts},
    openapi::problems,
    packages::{FlatPage, FlatPrompt, page_body},
    state::AppState,
    wire::page_limit,
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

problems! { InvalidCursor, RateLimited, QuotaExceeded }

/// List prompts
///
/// Needs `prompts:list`. Newest first; of each prompt its latest version, or where none is published and the caller sees
/// it, the draft. The shape of the page is the one that the shipped clients read.
#[utoipa::path(
    get, path = "/v1/prompts", operation_id = "list_packages", tag = "Prompts", params(Request),
    responses((status = 200, description = "A page of prompts.", body = FlatPage), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    admitted: Admitted<ListPrompts>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Response, ApiError> {
    let limit = page_limit(request.limit)?;
    let workspace = admitted.workspace_id();
    let cursors = CursorScope::new("packages", &[&workspace.to_string()]);
    let query = ServeQuery::Page {
        workspace,
        after: cursors.decode_array(request.cursor.as_deref())?.map(PromptId::from_bytes),
        limit,
        visibility: visibility(&state, &admitted),
    };
    let slug = admitted.workspace.as_str();
    let render = |served: &Served| {
        let last = served.prompts.last().filter(|_| served.has_more);
        let cursor = last.map(|last| cursors.encode(&last.prompt.to_bytes()));
        let prompts = served.prompts.iter().map(|prompt| FlatPrompt::new(prompt, slug)).collect();
        Some(page_body(prompts, cursor))
    };
    let body = rendered(&state, &admitted, query, render).await?;
    Ok(json_answer(body.ok_or(ErrorCode::InternalError)?))
}
