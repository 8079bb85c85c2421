//! `DELETE /v1/workspaces/{slug}`

use axum::extract::State;
use keywright_domain::command::{Command, WorkspaceCommand};
use serde::Deserialize;
use utoipa::IntoParams;

use super::patch::ChangedWorkspace;
use crate::{
    actor::{DeleteWorkspace, Scope},
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Receipted, Workspace, WorkspacePath},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The workspace's slug once more, so that nobody deletes another one by mistake.
    #[param(example = "acme")]
    confirm: String,
    /// For how many days it can be restored; 30 unless given. Operator only.
    #[param(maximum = 365)]
    grace_days: Option<u16>,
}

problems! { ReauthenticationRequired }

/// Delete a workspace
///
/// Needs `workspace:delete`, which an Owner has. All its keys are refused when the answer is there, as when it is
/// suspended. A signed-in user has proved who they are within 10 minutes. Until `deletes_at` it can be restored; from then on it is gone, and its data is removed. The audit trail stays.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}", operation_id = "delete_workspace", tag = "Workspaces",
    params(WorkspacePath, Request),
    responses((status = 200, description = "The workspace as it is now.", body = ChangedWorkspace), Accepted<ChangedWorkspace>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<DeleteWorkspace>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Receipted<ChangedWorkspace>, ApiError> {
    let workspace = &scope.workspace;
    if request.confirm != workspace.slug.as_str() {
        let detail = "`confirm` is not the slug of this workspace.";
        return Err(ApiError::with_detail(ErrorCode::InvalidQuery, detail).member("field", "confirm"));
    }
    scope.caller.require_fresh()?;
    if request.grace_days.is_some() && !scope.permit.is_operator() {
        let detail = "`grace_days` is given with an operator credential.";
        return Err(ApiError::with_detail(ErrorCode::InsufficientPermissions, detail));
    }
    let command = WorkspaceCommand::Delete { workspace: workspace.id, grace_days: request.grace_days };
    let origin = &scope.caller.origin;
    let context = origin.context(&state, scope.permit, None);
    let done = state.commit(origin, context, Command::Workspace(command)).await?;
    let receipt = done.receipt.clone();
    let workspace = Workspace::new(done.workspace()?, &state.plane.catalogue());
    Ok(Receipted::new(receipt, |receipt| ChangedWorkspace { workspace, receipt }))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::harness::Api;

    const PATH: &str = "/v1/workspaces/acme";

    async fn delete(api: &Api, query: &str) -> crate::harness::Answer {
        api.call(Method::DELETE, &api.operator, &format!("{PATH}?{query}"), None).await
    }

    #[tokio::test]
    async fn keys_stop_at_once_and_the_workspace_comes_back_until_the_moment() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        let answer = delete(&api, "confirm=acme").await.json();
        assert_eq!(
            (&answer["deletes_at"], &answer["effective"]["nodes"]),
            (&json!("2026-12-21T08:00:00.000Z"), &json!(1))
        );
        assert_eq!(api.verdict(&owner).await, "workspace_suspended");
        assert_eq!(api.get(&api.operator, PATH).await.json()["deletes_at"], "2026-12-21T08:00:00.000Z");
        let body = json!({"name": "late", "environment": "ci"});
        let create = api.post(&api.operator, &format!("{PATH}/keys"), &body).await;
        assert_eq!(create.outcome(), "409 conflict");
        api.clock.advance_ms(30 * 86_400_000 - 1);
        let restored = api.post(&api.operator, &format!("{PATH}/restore"), &json!({})).await.json();
        assert_eq!((&restored["deleted"], &restored["deletes_at"]), (&json!(false), &json!(null)));
        assert_eq!(api.verdict(&owner).await, "valid");
    }

    #[tokio::test]
    async fn from_the_moment_on_it_is_as_if_it_had_never_been() {
        let api = Api::start().await;
        let (key, _) = api.key_with(&["prompts:read"]).await;
        delete(&api, "confirm=acme&grace_days=1").await;
        api.clock.advance_ms(86_400_000);
        for path in [PATH, "/v1/workspaces/acme/keys", "/v1/workspaces/acme/audit"] {
            assert_eq!(api.get(&api.operator, path).await.outcome(), "404 not_found", "{path}");
        }
        let restore = api.post(&api.operator, &format!("{PATH}/restore"), &json!({})).await;
        assert_eq!(restore.outcome(), "404 not_found");
        assert_eq!(api.get(&api.operator, "/v1/workspaces").await.json()["data"], json!([]));
        assert_eq!(api.verdict(&key).await, "workspace_suspended", "until its data is removed");
    }

    #[tokio::test]
    async fn the_slug_is_typed_again() {
        let api = Api::start().await;
        for (query, expected) in [
            ("", "400 invalid_query"),
            ("confirm=", "400 invalid_query"),
            ("confirm=Acme", "400 invalid_query"),
            ("confirm=acme&grace_days=366", "400 invalid_query"),
            ("confirm=acme&grace_days=-1", "400 invalid_query"),
            ("confirm=acme&grace_days=365", "200"),
            ("confirm=acme&grace_days=0", "200"),
        ] {
            assert_eq!(delete(&api, query).await.outcome(), expected, "{query}");
        }
    }

    #[tokio::test]
    async fn an_owner_may_and_an_admin_may_not() {
        let api = Api::start().await;
        let (admin, _) = api.key_with(&["workspace:write", "keys:write"]).await;
        let path = format!("{PATH}?confirm=acme");
        let refused = api.call(Method::DELETE, &admin, &path, None).await;
        assert_eq!(refused.outcome(), "403 insufficient_permissions");
        let (owner, _) = api.key_with(&["workspace:delete"]).await;
        let shortened = api.call(Method::DELETE, &owner, &format!("{path}&grace_days=0"), None).await;
        assert_eq!(shortened.outcome(), "403 insufficient_permissions", "that is the operator's to decide");
        assert_eq!(api.call(Method::DELETE, &owner, &path, None).await.outcome(), "200");
        let again = api.call(Method::DELETE, &owner, &path, None).await;
        assert_eq!(again.outcome(), "403 workspace_suspended", "it was its last call");
    }
}
