//! `PUT /v1/plans/{name}`

use axum::extract::State;
use keywright_domain::{command::Command, key::is_printable, plan};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    caps::DESCRIPTION_MAX_CHARS,
    edge::{StrictJson, StrictPath},
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{LimitWindow, NamePath, Plan, Receipt, Receipted},
};

/// A plan, as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutPlan)]
pub(crate) struct Request {
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 500)]
    description: String,
    /// Windows of each key that has none of its own.
    #[schema(max_items = 8)]
    key_limits: Vec<LimitWindow>,
    /// Windows of the workspace as a whole.
    #[serde(default)]
    #[schema(max_items = 8)]
    workspace_limits: Vec<LimitWindow>,
}

/// A plan that was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct WrittenPlan {
    #[serde(flatten)]
    plan: Plan,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! { LimitReached }

/// Create or replace a plan
///
/// Operator only. When the answer is there, every workspace on the plan has its limits.
#[utoipa::path(
    put, path = "/v1/plans/{name}", operation_id = "put_plan", tag = "Plans",
    params(NamePath),
    request_body(content = Request, example = json!({
        "description": "For trials.",
        "key_limits": [{"name": "minute", "limit": 100, "window_seconds": 60}],
        "workspace_limits": [{"name": "day", "limit": 10_000, "window_seconds": 86_400}],
    })),
    responses((status = 200, description = "The plan, and the receipt.", body = WrittenPlan), Accepted<WrittenPlan>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(name): StrictPath<String>,
    body: StrictJson<Request>,
) -> Result<Receipted<WrittenPlan>, ApiError> {
    let request = body.value;
    if !is_printable(&request.description, 0, DESCRIPTION_MAX_CHARS) {
        let detail = format!("`description` has at most {DESCRIPTION_MAX_CHARS} printable characters.");
        return Err(ApiError::invalid_field("description", detail));
    }
    let plan = plan::Plan {
        name,
        description: request.description,
        key_limits: request.key_limits.into_iter().map(Into::into).collect(),
        workspace_limits: request.workspace_limits.into_iter().map(Into::into).collect(),
    };
    let context = caller.origin.context(&state, permit, None);
    let done = state.commit(&caller.origin, context, Command::PutPlan(plan)).await?;
    let (receipt, plan) = (done.receipt.clone(), Plan::from(done.plan()?));
    Ok(Receipted::new(receipt, |receipt| WrittenPlan { plan, receipt }))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn a_plan_is_replaced_as_a_whole() {
        let api = Api::start().await;
        let path = "/v1/plans/trial";
        let body = json!({
            "description": "For trials.", "key_limits": [{"name": "minute", "limit": 100, "window_seconds": 60}],
            "workspace_limits": [{"name": "day", "limit": 10_000, "window_seconds": 86_400, "algorithm": "smooth"}],
        });
        let first = api.call(Method::PUT, &api.operator, path, Some(&body)).await;
        insta::assert_json_snapshot!(first.json(), @r#"
        {
          "description": "For trials.",
          "effective": {
            "nodes": 1,
            "silent": 0,
            "waited_ms": 0.0
          },
          "key_limits": [
            {
              "algorithm": "sliding",
              "limit": 100,
              "name": "minute",
              "window_seconds": 60
            }
          ],
          "name": "trial",
          "sequence": 4,
          "workspace_limits": [
            {
              "algorithm": "smooth",
              "limit": 10000,
              "name": "day",
              "window_seconds": 86400
            }
          ]
        }
        "#);
        let mut second =
            api.call(Method::PUT, &api.operator, path, Some(&json!({"key_limits": []}))).await.json();
        for member in ["effective", "sequence"] {
            second.as_object_mut().unwrap().remove(member).unwrap();
        }
        assert_eq!(
            second,
            json!({"name": "trial", "description": "", "key_limits": [], "workspace_limits": []})
        );
        let listed = api.get(&api.owner_key().await, "/v1/plans").await.json();
        let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|plan| &plan["name"]).collect();
        assert_eq!(names, ["enterprise", "standard", "trial", "unlimited"]);
    }

    #[tokio::test]
    async fn names_and_windows_have_limits() {
        let api = Api::start().await;
        let window = json!({"name": "m", "limit": 1, "window_seconds": 1});
        for (name, body, expected) in [
            ("a".repeat(48), json!({"key_limits": []}), "200"),
            ("a".repeat(49), json!({"key_limits": []}), "400 invalid_field"),
            ("1a".to_owned(), json!({"key_limits": []}), "400 invalid_field"),
            ("a".to_owned(), json!({}), "400 missing_field"),
            ("a".to_owned(), json!({"key_limits": [window, window]}), "400 invalid_field"),
            ("a".to_owned(), json!({"key_limits": [], "description": "x".repeat(500)}), "200"),
            ("a".to_owned(), json!({"key_limits": [], "description": "x".repeat(501)}), "400 invalid_field"),
            (
                "a".to_owned(),
                json!({"key_limits": [{"name": "m", "limit": 1, "window_seconds": 1, "burst": 2}]}),
                "400 unknown_field",
            ),
        ] {
            let answer =
                api.call(Method::PUT, &api.operator, &format!("/v1/plans/{name}"), Some(&body)).await;
            assert_eq!(answer.outcome(), expected, "{name} {body}");
        }
    }

    #[tokio::test]
    async fn there_are_not_more_plans_than_may_be() {
        let api = Api::start().await;
        for number in 4..=101 {
            let path = format!("/v1/plans/plan-{number}");
            let answer = api.call(Method::PUT, &api.operator, &path, Some(&json!({"key_limits": []}))).await;
            assert_eq!(answer.outcome(), if number <= 100 { "200" } else { "409 limit_reached" }, "{number}");
        }
    }
}
