//! `GET /v1/workspaces/{slug}/prompts/{prompt}`

use axum::Json;
use http::{HeaderMap, HeaderValue, header};

use super::Author;
use crate::{
    error::ApiError,
    openapi::problems,
    wire::{Prompt, PromptPath},
};

problems! {}

/// Read a prompt
///
/// Needs `prompts:write`. `ETag` has the draft's revision, for `If-Match`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/prompts/{prompt}", operation_id = "get_prompt_draft", tag = "Prompts",
    params(PromptPath), responses((status = 200, description = "The prompt with its draft.", body = Prompt), Problems),
)]
pub(crate) async fn handler(author: Author) -> Result<(HeaderMap, Json<Prompt>), ApiError> {
    let Author { scope, prompt, .. } = author;
    let etag = HeaderValue::try_from(format!("\"{}\"", prompt.revision)).expect("a number in quotes");
    let headers = HeaderMap::from_iter([(header::ETAG, etag)]);
    Ok((headers, Json(Prompt::new(prompt, &scope.workspace))))
}
