//! `POST /v1/workspaces/{slug}/prompts/{prompt}/restore`

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

/// Restore a prompt
///
/// Needs `prompts:write`. It is served again as it was.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/prompts/{prompt}/restore", operation_id = "restore_prompt", tag = "Prompts",
    params(PromptPath),
    responses((status = 200, description = "The prompt as it is now.", body = ChangedPrompt), Accepted<ChangedPrompt>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
) -> Result<Receipted<ChangedPrompt>, ApiError> {
    let command = PromptCommand::SetArchived { prompt: author.prompt.id, archived: false };
    change_prompt(&state, &author.scope, command, &[]).await
}
