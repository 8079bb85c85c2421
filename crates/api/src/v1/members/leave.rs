//! `POST /v1/workspaces/{slug}/leave`

use axum::extract::State;
use keywright_domain::member::MemberCommand;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{EndedMembership, account_id, change, ended};
use crate::{
    actor::{Leave, Scope},
    edge::OptionalJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Receipted, WorkspacePath},
};

/// What becomes of the keys.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LeaveWorkspace)]
pub(crate) struct Request {
    /// The service account that gets the keys in the same step, so that they go on working. Needs `keys:write`.
    #[schema(example = "sa_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    hand_over_to: Option<String>,
}

problems! { PermissionEscalation, LastOwner, Conflict, LimitReached, AlreadyApplied, IdempotencyMismatch }

/// Leave a workspace
///
/// Ends the membership of the person who is signed in; their keys stop in the same moment, or are handed over. The last
/// Owner can not leave.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/leave", operation_id = "leave_workspace", tag = "Members",
    params(WorkspacePath),
    request_body(content = Option<Request>, example = json!({"hand_over_to": "sa_01k9zq3v4w5x6y7z8a9b0c1d2e"})),
    responses((status = 200, description = "What became of the keys.", body = EndedMembership), Accepted<EndedMembership>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<Leave>,
    body: OptionalJson<Request>,
) -> Result<Receipted<EndedMembership>, ApiError> {
    let hand_over_to = body.value.hand_over_to.as_deref();
    let hand_over_to = hand_over_to.map(|id| account_id("hand_over_to", id)).transpose()?;
    ended(&state, change(&state, &scope, MemberCommand::Leave { hand_over_to }, &body.raw).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn whoever_leaves_is_gone_and_the_last_owner_stays() {
        let api = Api::start().await;
        let leave = "/v1/workspaces/acme/leave";
        let person = api.person("admin").await;
        let left = api.post(&person, leave, &json!({})).await.json();
        assert_eq!((&left["keys"]["stopped"], &left["effective"]["nodes"]), (&json!(0), &json!(1)));
        assert_eq!(api.post(&person, leave, &json!({})).await.outcome(), "404 not_found");
        assert_eq!(api.get(&person, "/v1/workspaces/acme/keys").await.outcome(), "404 not_found");
        assert_eq!(
            api.post(&api.operator, "/v1/workspaces", &json!({"slug": "alone"})).await.status.as_u16(),
            201
        );
        let owner = api.person_in("alone", "owner").await;
        let refused = api.post(&owner, "/v1/workspaces/alone/leave", &json!({})).await;
        assert_eq!(refused.outcome(), "409 last_owner");
        let key = api.owner_key().await;
        assert_eq!(api.post(&key, leave, &json!({})).await.outcome(), "403 insufficient_permissions");
    }
}
