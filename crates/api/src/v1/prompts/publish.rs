//! `POST /v1/workspaces/{slug}/prompts/{prompt}/publish`

use axum::extract::State;
use http::HeaderMap;
use keywright_domain::prompt::PromptCommand;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Author, ChangedVersion, change_version, if_revision};
use crate::{
    edge::OptionalJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{PromptPath, Receipted},
};

/// Nothing needs to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PublishPrompt)]
pub(crate) struct Request {}

problems! { PromptArchived, RevisionMismatch, NothingToPublish, LimitReached, AlreadyApplied, IdempotencyMismatch }

/// Publish a prompt's draft
///
/// Needs `prompts:write`. The draft becomes the next version, which never changes, and `latest`.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/prompts/{prompt}/publish", operation_id = "publish_prompt", tag = "Prompts",
    params(
        PromptPath,
        ("If-Match" = Option<String>, Header, description = "The revision that the draft must have, in quotes."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless."),
    ),
    request_body(content = Option<Request>, example = json!({})),
    responses((status = 200, description = "The prompt and its new version.", body = ChangedVersion), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
    headers: HeaderMap,
    body: OptionalJson<Request>,
) -> Result<Receipted<ChangedVersion>, ApiError> {
    let command = PromptCommand::Publish { prompt: author.prompt.id, if_revision: if_revision(&headers)? };
    change_version(&state, &author.scope, command, &body.raw).await
}
