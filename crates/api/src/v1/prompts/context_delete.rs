//! `DELETE /v1/workspaces/{slug}/prompts/{prompt}/context/{item}`

use axum::extract::State;
use keywright_domain::{ids::ContextId, prompt::PromptCommand};
use utoipa::IntoParams;

use super::{Author, carry_out};
use crate::{
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Receipt, Receipted},
};

/// A context item of a prompt.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "for the OpenAPI document")]
pub(crate) struct ContextPath {
    /// The workspace's slug.
    slug: String,
    /// The prompt's slug.
    prompt: String,
    /// The item's id.
    item: String,
}

problems! {}

/// Delete a context item
///
/// Needs `prompts:write`. It goes for the draft and for every version, and links to it end. When the answer is there, no
/// node serves it.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}/prompts/{prompt}/context/{item}", operation_id = "delete_prompt_context",
    tag = "Prompts", params(ContextPath),
    responses((status = 204, description = "It is gone."), Accepted<Receipt>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
) -> Result<Receipted<Receipt>, ApiError> {
    let item = author.names.item.as_deref().and_then(|item| ContextId::parse(item).ok());
    let item = item.ok_or(ErrorCode::NotFound)?;
    let command = PromptCommand::RemoveContext { prompt: author.prompt.id, item };
    let (_, receipt) = carry_out(&state, &author.scope, command, &[]).await?;
    Ok(Receipted::empty(receipt))
}
