//! `DELETE /v1/workspaces/{slug}/prompts/{prompt}`

use axum::extract::State;
use keywright_domain::prompt::PromptCommand;

use super::{Author, carry_out};
use crate::{
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{PromptPath, Receipt, Receipted},
};

problems! {}

/// Delete a prompt
///
/// Needs `prompts:write`. It goes with all versions, files and links; to take it out of service for a while, archive it.
/// When the answer is there, no node serves it.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}/prompts/{prompt}", operation_id = "delete_prompt", tag = "Prompts",
    params(PromptPath),
    responses((status = 204, description = "It is gone."), Accepted<Receipt>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
) -> Result<Receipted<Receipt>, ApiError> {
    let command = PromptCommand::Delete(author.prompt.id);
    let (_, receipt) = carry_out(&state, &author.scope, command, &[]).await?;
    Ok(Receipted::empty(receipt))
}
