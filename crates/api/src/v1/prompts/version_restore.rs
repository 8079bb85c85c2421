//! `POST /v1/workspaces/{slug}/prompts/{prompt}/versions/{version}/restore`

use axum::extract::State;
use keywright_domain::prompt::PromptCommand;

use super::{Author, ChangedVersion, change_version};
use crate::{
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Receipted, VersionPath},
};

problems! {}

/// Restore a version of a prompt
///
/// Needs `prompts:write`. `latest` is the newest version that is not archived.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/prompts/{prompt}/versions/{version}/restore",
    operation_id = "restore_prompt_version", tag = "Prompts", params(VersionPath),
    responses(
        (status = 200, description = "The prompt and the version as they are now.", body = ChangedVersion),
        Accepted<ChangedVersion>,
        Problems,
    ),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
) -> Result<Receipted<ChangedVersion>, ApiError> {
    let (prompt, version) = (author.prompt.id, author.version()?);
    let command = PromptCommand::SetVersionArchived { prompt, version, archived: false };
    change_version(&state, &author.scope, command, &[]).await
}
