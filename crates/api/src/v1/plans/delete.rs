//! `DELETE /v1/plans/{name}`

use axum::extract::State;
use keywright_domain::command::Command;

use crate::{
    actor::Installation,
    edge::StrictPath,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{NamePath, Receipt, Receipted},
};

problems! { Conflict }

/// Delete a plan
///
/// Operator only. Refused while a workspace is on the plan, and for plans that are built in.
#[utoipa::path(
    delete, path = "/v1/plans/{name}", operation_id = "delete_plan", tag = "Plans",
    params(NamePath),
    responses((status = 204, description = "It is gone."), Accepted<Receipt>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(name): StrictPath<String>,
) -> Result<Receipted<Receipt>, ApiError> {
    let context = caller.origin.context(&state, permit, None);
    let done = state.commit(&caller.origin, context, Command::DeletePlan(name)).await?;
    Ok(Receipted::empty(done.receipt))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn only_plans_that_nobody_needs_are_deleted() {
        let api = Api::start().await;
        api.call(Method::PUT, &api.operator, "/v1/plans/trial", Some(&json!({"key_limits": []}))).await;
        api.post(&api.operator, "/v1/workspaces", &json!({"slug": "beta", "plan": "trial"})).await;
        let delete = async |name: &str| {
            api.call(Method::DELETE, &api.operator, &format!("/v1/plans/{name}"), None).await.outcome()
        };
        assert_eq!(delete("trial").await, "409 conflict");
        assert_eq!(delete("enterprise").await, "409 conflict");
        api.patch(&api.operator, "/v1/workspaces/beta", &json!({"plan": "standard"})).await;
        assert_eq!(delete("trial").await, "204");
        assert_eq!(delete("trial").await, "404 not_found");
    }
}
