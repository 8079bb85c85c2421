//! `POST /v1/workspaces/{slug}/prompts/{prompt}/context/links`

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use keywright_domain::{
    ids::ContextId,
    prompt::{ContextKind, NewContext, PromptCommand},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{AddedContext, Author, add_context, context_file::created};
use crate::{edge::StrictJson, error::ApiError, openapi::problems, state::AppState, wire::PromptPath};

/// A link to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddContextLink)]
pub(crate) struct Request {
    /// An `http` or `https` address of a public host. Keywright never fetches it.
    #[schema(max_length = 2048, example = "https://example.com/faq")]
    url: String,
    /// A label for people.
    #[schema(min_length = 1, max_length = 200)]
    label: Option<String>,
}

problems! { PromptArchived, LimitReached, AlreadyApplied, IdempotencyMismatch }

/// Add a link to a prompt's draft
///
/// Needs `prompts:write`.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/prompts/{prompt}/context/links", operation_id = "add_prompt_context_link",
    tag = "Prompts",
    params(PromptPath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"url": "https://example.com/faq", "label": "The public FAQ"})),
    responses((status = 201, description = "The item, and the prompt as it is now.", body = AddedContext), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
    body: StrictJson<Request>,
) -> Result<Response, ApiError> {
    let Request { url, label } = body.value;
    let id = ContextId::generate(author.scope.now(), &*state.entropy);
    let item = Box::new(NewContext { id, label, kind: ContextKind::Link { url }, chunks: Vec::new() });
    let command = PromptCommand::AddContext { prompt: author.prompt.id, item };
    let answer = add_context(&state, &author.scope, command, &body.raw).await?;
    Ok(created(answer.into_response()))
}
