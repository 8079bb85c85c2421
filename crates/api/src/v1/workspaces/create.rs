//! `POST /v1/workspaces`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    command::{Command, NewWorkspace},
    ids::WorkspaceId,
    plan::Plan,
    workspace::{Slug, WorkspacePolicy},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_workspace,
    wire::{PolicyPatch, Workspace},
};

/// A workspace to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateWorkspace)]
pub(crate) struct Request {
    /// The name in addresses: 1 to 48 of `a-z`, `0-9` and `-`.
    #[schema(min_length = 1, max_length = 48, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    slug: String,
    /// The name shown to people; the slug unless given.
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
    /// The plan's name; `standard` unless given.
    plan: Option<String>,
    /// Where its policy is to differ from that of a new workspace.
    #[serde(default)]
    policy: PolicyPatch,
}

/// A workspace that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedWorkspace {
    #[serde(flatten)]
    workspace: Workspace,
    /// The change's place in the log.
    #[schema(example = 42)]
    sequence: u64,
}

problems! { AlreadyExists, UnknownPlan, UnknownPermission, AlreadyApplied, IdempotencyMismatch }

/// Create a workspace
///
/// Operator only.
#[utoipa::path(
    post, path = "/v1/workspaces", operation_id = "create_workspace", tag = "Workspaces",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"slug": "acme", "name": "Acme Inc.", "plan": "standard"})),
    responses((status = 201, description = "The workspace.", body = CreatedWorkspace), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<CreatedWorkspace>), ApiError> {
    let idempotency = caller.origin.idempotency(&caller.actor, &body.raw);
    let command = new_workspace(&state, body.value, caller.origin.now)?;
    let context = caller.origin.context(&state, permit, idempotency);
    let done = state.commit(&caller.origin, context, Command::CreateWorkspace(Box::new(command))).await?;
    let sequence = done.sequence();
    let workspace = Workspace::new(done.workspace()?, &state.plane.catalogue());
    Ok((StatusCode::CREATED, Json(CreatedWorkspace { workspace, sequence })))
}

fn new_workspace(
    state: &AppState,
    request: Request,
    now: keywright_domain::time::Timestamp,
) -> Result<NewWorkspace, ApiError> {
    let slug = Slug::parse(&request.slug).map_err(of_workspace)?;
    let name = request.name.unwrap_or(request.slug);
    let policy = request.policy.apply(WorkspacePolicy::default(), &state.plane.catalogue())?;
    Ok(NewWorkspace {
        id: WorkspaceId::generate(now, &*state.entropy),
        slug,
        name,
        plan: request.plan.unwrap_or_else(|| Plan::DEFAULT.to_owned()),
        policy,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    const PATH: &str = "/v1/workspaces";

    #[tokio::test]
    async fn a_slug_is_enough() {
        let api = Api::start().await;
        let answer = api.post(&api.operator, PATH, &json!({"slug": "beta"})).await;
        assert_eq!(answer.outcome(), "201");
        insta::assert_json_snapshot!(answer.json(), @r#"
        {
          "created_at": "2026-11-21T08:00:00.000Z",
          "deleted": false,
          "deletes_at": null,
          "former_slugs": [],
          "id": "ws_01m7yhx300f7r1bjbw99vf5qa3",
          "name": "beta",
          "plan": "standard",
          "policy": {
            "allowed_ips": [],
            "allowed_permissions": null,
            "atomic_revocation": false,
            "default_permissions": [
              "prompts:read",
              "prompts:list",
              "context:download"
            ],
            "idle_action": "flag",
            "idle_days": null,
            "lease_seconds": 30,
            "max_key_days": null,
            "max_keys": 1000000,
            "overlap_seconds": 172800,
            "rotation": {
              "ci": {
                "months": 3
              },
              "development": {
                "months": 6
              },
              "production": {
                "days": 90
              },
              "staging": {
                "months": 3
              }
            },
            "rotation_mode": "warn",
            "self_service": true
          },
          "sequence": 4,
          "slug": "beta",
          "suspended": false,
          "suspended_at": null
        }
        "#);
    }

    #[tokio::test]
    async fn slugs_and_names_have_limits() {
        let api = Api::start().await;
        for (slug, expected) in [
            ("a".to_owned(), "201"),
            ("a".repeat(48), "201"),
            ("a".repeat(49), "400 invalid_field"),
            (String::new(), "400 invalid_field"),
            ("-a".to_owned(), "400 invalid_field"),
            ("A".to_owned(), "400 invalid_field"),
            ("acme".to_owned(), "409 already_exists"),
        ] {
            assert_eq!(
                api.post(&api.operator, PATH, &json!({"slug": slug})).await.outcome(),
                expected,
                "{slug}"
            );
        }
        for (name, expected) in [
            ("x".repeat(64), "201"),
            ("x".repeat(65), "400 invalid_field"),
            (String::new(), "400 invalid_field"),
        ] {
            let body = json!({"slug": format!("n{}", name.len()), "name": name});
            assert_eq!(api.post(&api.operator, PATH, &body).await.outcome(), expected);
        }
        let body = json!({"slug": "b", "plan": "none"});
        assert_eq!(api.post(&api.operator, PATH, &body).await.outcome(), "400 unknown_plan");
        let body = json!({"slug": "b", "policy": {"default_permissions": ["no:such"]}});
        assert_eq!(api.post(&api.operator, PATH, &body).await.outcome(), "400 unknown_permission");
    }

    #[tokio::test]
    async fn a_repeat_creates_no_second_one() {
        let api = Api::start().await;
        let body = json!({"slug": "beta"});
        let first = api.post_once(&api.operator, PATH, "w", &body).await.json();
        let second = api.post_once(&api.operator, PATH, "w", &body).await;
        assert_eq!((second.outcome(), &second.json()["id"]), ("409 already_applied".into(), &first["id"]));
        let other = api.post_once(&api.operator, PATH, "w", &json!({"slug": "gamma"})).await;
        assert_eq!(other.outcome(), "422 idempotency_mismatch");
    }
}
