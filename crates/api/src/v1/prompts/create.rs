//! `POST /v1/workspaces/{slug}/prompts`

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use keywright_domain::{
    ids::PromptId,
    prompt::{Content, NewPrompt, PromptCommand, PromptSlug},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ChangedPrompt, change_prompt, check_templates};
use crate::{
    actor::{Scope, WritePrompts},
    caps::PROMPT_BODY_MAX_BYTES,
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_prompt,
    wire::WorkspacePath,
};

/// A prompt to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreatePrompt)]
pub(crate) struct Request {
    /// The name in addresses: letters, digits, `-` and `_`. It never changes.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    slug: String,
    /// Title for people; the slug unless given.
    #[schema(min_length = 1, max_length = 200)]
    title: Option<String>,
    /// What it is for.
    #[schema(max_length = 4000)]
    description: Option<String>,
    /// One word that sorts it.
    #[schema(min_length = 1, max_length = 64)]
    category: Option<String>,
    /// Words that find it.
    #[serde(default)]
    #[schema(max_items = 32)]
    tags: Vec<String>,
    /// The text, with variables such as `{{question:string // what the user asks}}`.
    #[serde(default)]
    #[schema(max_length = 65536)]
    generator: String,
    /// The system prompt.
    #[schema(max_length = 65536)]
    system_prompt: Option<String>,
    /// The text that has an answer criticised.
    #[schema(max_length = 65536)]
    critique_prompt: Option<String>,
}

problems! { AlreadyExists, LimitReached, AlreadyApplied, IdempotencyMismatch }

/// Create a prompt
///
/// Needs `prompts:write`. It begins as a draft, `v0`; publish it to put it into service.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/prompts", operation_id = "create_prompt", tag = "Prompts",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"slug": "support-assistant", "title": "Support assistant", "generator": "Answer {{question}} in one sentence."})),
    responses((status = 201, description = "The prompt.", body = ChangedPrompt), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WritePrompts>,
    body: StrictJson<Request, PROMPT_BODY_MAX_BYTES>,
) -> Result<Response, ApiError> {
    let new = body.value.into_new(&state, &scope)?;
    let answer = change_prompt(&state, &scope, PromptCommand::Create(Box::new(new)), &body.raw).await?;
    let mut response = answer.into_response();
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

impl Request {
    fn into_new(self, state: &AppState, scope: &Scope<WritePrompts>) -> Result<NewPrompt, ApiError> {
        let slug = PromptSlug::parse(&self.slug).map_err(of_prompt)?;
        let draft = Content {
            title: self.title.unwrap_or(self.slug),
            description: self.description,
            category: self.category,
            tags: self.tags,
            generator: self.generator,
            system: self.system_prompt,
            critique: self.critique_prompt,
        };
        check_templates(&draft)?;
        Ok(NewPrompt { id: PromptId::generate(scope.now(), &*state.entropy), slug, draft })
    }
}
