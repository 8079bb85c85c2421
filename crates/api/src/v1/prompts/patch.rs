//! `PATCH /v1/workspaces/{slug}/prompts/{prompt}`

use axum::extract::State;
use http::HeaderMap;
use keywright_domain::prompt::{Content, PromptCommand, PromptPatch};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Author, ChangedPrompt, change_prompt, check_templates, if_revision};
use crate::{
    caps::PROMPT_BODY_MAX_BYTES,
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{Patch, PromptPath, Receipted},
};

/// What to change of the draft: absent leaves, `null` clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchPrompt)]
pub(crate) struct Request {
    /// Title for people.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Patch<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 4000)]
    description: Patch<String>,
    /// One word that sorts it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    category: Patch<String>,
    /// Words that find it.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    tags: Patch<Vec<String>>,
    /// The text.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 65536)]
    generator: Patch<String>,
    /// The system prompt.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 65536)]
    system_prompt: Patch<String>,
    /// The text that has an answer criticised.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 65536)]
    critique_prompt: Patch<String>,
}

problems! { PromptArchived, RevisionMismatch }

/// Change a prompt's draft
///
/// Needs `prompts:write`. Published versions stay as they are. With `If-Match`, only if the draft is what you have read.
#[utoipa::path(
    patch, path = "/v1/workspaces/{slug}/prompts/{prompt}", operation_id = "patch_prompt", tag = "Prompts",
    params(PromptPath, ("If-Match" = Option<String>, Header, description = "The revision that the draft must have, in quotes.")),
    request_body(content = Request, example = json!({"generator": "Answer {{question}} in two sentences."})),
    responses((status = 200, description = "The prompt as it is now.", body = ChangedPrompt), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
    headers: HeaderMap,
    body: StrictJson<Request, PROMPT_BODY_MAX_BYTES>,
) -> Result<Receipted<ChangedPrompt>, ApiError> {
    let patch = Box::new(body.value.into_patch()?);
    let draft = &author.prompt.draft;
    check_templates(&Content {
        generator: patch.generator.clone().unwrap_or_else(|| draft.generator.clone()),
        system: patch.system.clone().unwrap_or_else(|| draft.system.clone()),
        critique: patch.critique.clone().unwrap_or_else(|| draft.critique.clone()),
        ..Content::default()
    })?;
    let command =
        PromptCommand::Edit { prompt: author.prompt.id, patch, if_revision: if_revision(&headers)? };
    change_prompt(&state, &author.scope, command, &[]).await
}

impl Request {
    fn into_patch(self) -> Result<PromptPatch, ApiError> {
        Ok(PromptPatch {
            title: self.title.required("title")?,
            description: self.description.clearable(),
            category: self.category.clearable(),
            tags: self.tags.or_cleared(Vec::new()),
            generator: self.generator.or_cleared(String::new()),
            system: self.system_prompt.clearable(),
            critique: self.critique_prompt.clearable(),
        })
    }
}
