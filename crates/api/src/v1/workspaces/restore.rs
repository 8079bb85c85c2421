//! `POST /v1/workspaces/{slug}/restore`

use axum::extract::State;
use keywright_domain::command::{Command, WorkspaceCommand};

use super::patch::ChangedWorkspace;
use crate::{
    actor::{DeleteWorkspace, Scope},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{Receipted, Workspace, WorkspacePath},
};

problems! { Conflict }

/// Restore a deleted workspace
///
/// Needs `workspace:delete`; a key of the workspace cannot, because it is refused. Everything is as it was before: keys
/// that were revoked or disabled stay so. After `deletes_at` there is nothing to restore.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/restore", operation_id = "restore_workspace", tag = "Workspaces",
    params(WorkspacePath),
    responses((status = 200, description = "The workspace as it is now.", body = ChangedWorkspace), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<DeleteWorkspace>,
) -> Result<Receipted<ChangedWorkspace>, ApiError> {
    let command = WorkspaceCommand::Restore { workspace: scope.workspace.id };
    let origin = &scope.caller.origin;
    let context = origin.context(&state, scope.permit, None);
    let done = state.commit(origin, context, Command::Workspace(command)).await?;
    let receipt = done.receipt.clone();
    let workspace = Workspace::new(done.workspace()?, &state.plane.catalogue());
    Ok(Receipted::new(receipt, |receipt| ChangedWorkspace { workspace, receipt }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn there_must_be_something_to_restore() {
        let api = Api::start().await;
        let path = "/v1/workspaces/acme/restore";
        assert_eq!(api.post(&api.operator, path, &json!({})).await.outcome(), "409 conflict");
        let unknown = api.post(&api.operator, "/v1/workspaces/nobody/restore", &json!({})).await;
        assert_eq!(unknown.outcome(), "404 not_found");
    }
}
