//! `DELETE /v1/users/{id}`

use axum::extract::State;
use keywright_domain::ids::UserId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::rights;
use crate::{
    actor::Installation,
    edge::{StrictPath, StrictQuery},
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Receipt, Receipted, UserPath},
};

/// A person who was erased.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasedUser {
    /// The id. It stays in the audit trail and names nobody any more.
    #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub(super) id: String,
    /// Memberships that ended.
    pub(super) memberships_ended: u64,
    /// Prompts that were deleted.
    pub(super) prompts_deleted: u64,
    #[serde(flatten)]
    pub(super) receipt: Receipt,
}

/// How a person is erased.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// What becomes of the prompts that the person created and of which nobody else published a version. Other prompts stay;
    /// they name nobody any more.
    #[serde(default)]
    #[param(inline, required = false)]
    pub(crate) prompts: OwnPrompts,
}

/// What becomes of the prompts of a person who is erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OwnPrompts {
    /// They go, with their versions and files.
    #[default]
    Delete,
    /// They stay in their workspaces.
    Keep,
}

problems! {}

/// Erase a person
///
/// Operator only. Ends the person's memberships, so that no key of theirs is accepted when the answer is there, and destroys the
/// key that their name, e-mail address and the addresses and user agents of what they did are sealed under. The audit trail
/// still verifies. Prompts that are theirs alone go, unless `prompts=keep`. There is no way back: export first (`GET /v1/users/{id}/export`).
#[utoipa::path(
    delete, path = "/v1/users/{id}", operation_id = "erase_user", tag = "Privacy",
    params(UserPath, Request),
    responses((status = 200, description = "What was ended, and the receipt.", body = ErasedUser), Accepted<ErasedUser>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Receipted<ErasedUser>, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    rights::erase(&state, &caller.origin, permit, user, request.prompts).await
}

#[cfg(test)]
mod tests {
    use keywright_domain::{command::Command, permission::Role};
    use keywright_testkit::Samples;
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn exported_then_erased() {
        let api = Api::start().await;
        let samples = Samples::new(77);
        let mut user = samples.user();
        user.email = "zerlinda.quatsch@example.com".to_owned();
        user.name = "Zerlinda \"Z\" Quatsch".to_owned();
        let workspace = api.workspace_id().await;
        let command = Command::CreateMember { user: user.clone(), workspace, role: Role::Admin };
        let context = samples.context(Samples::operator_permit());
        api.state.store.execute(context, command).await.unwrap();
        let (path, export) = (format!("/v1/users/{}", user.id), format!("/v1/users/{}/export", user.id));
        let told = api.get(&api.operator, &export).await.json();
        assert_eq!(told["profile"]["email"], "zerlinda.quatsch@example.com");
        assert_eq!(told["profile"]["name"], "Zerlinda \"Z\" Quatsch");
        assert_eq!(told["memberships"][0]["workspace"], "acme");
        assert_eq!(told["memberships"][0]["role"], "admin");
        assert_eq!(told["audit"]["entries"][0]["action"], "member.created");
        let handed_over = api.get(&api.operator, "/v1/audit?limit=1").await.json();
        assert_eq!(handed_over["data"][0]["action"], "user.exported", "the trail tells of it");
        let erased = api.call(http::Method::DELETE, &api.operator, &path, None).await.json();
        assert_eq!(erased["memberships_ended"], 1);
        assert_eq!(erased["effective"], json!({"nodes": 1, "waited_ms": 0.0, "silent": 0}));
        assert_eq!(api.get(&api.operator, &export).await.outcome(), "404 not_found");
        let again = api.call(http::Method::DELETE, &api.operator, &path, None).await;
        assert_eq!(again.outcome(), "404 not_found");
        let trail = api.get(&api.operator, "/v1/audit?limit=100").await.text;
        assert!(trail.contains("user.erased") && !trail.contains("Quatsch") && !trail.contains("zerlinda"));
    }
}
