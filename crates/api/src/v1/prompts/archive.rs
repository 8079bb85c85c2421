//! `POST /v1/workspaces/{slug}/prompts/{prompt}/archive`

use axum::extract::State;
use keywright_domain::prompt::PromptCommand;

use super::{Author, ChangedPrompt, change_prompt};
use crate::{
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{PromptPath, Receipted},
};

problems! {}

/// Archive a prompt
///
/// Needs `prompts:write`. It keeps its draft, versions and files, and can be restored. When the answer is there, no node servesn/// it.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/prompts/{prompt}/archive", operation_id = "archive_prompt", tag = "Prompts",
    params(PromptPath),
    responses((status = 200, description = "The prompt as it is now.", body = ChangedPrompt), Accepted<ChangedPrompt>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
) -> Result<Receipted<ChangedPrompt>, ApiError> {
    let command = PromptCommand::SetArchived { prompt: author.prompt.id, archived: true };
    change_prompt(&state, &author.scope, command, &[]).await
}
