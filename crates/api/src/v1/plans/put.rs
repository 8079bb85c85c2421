//! `PUT /v1/plans/{name}`

use axum::{Json, extract::State};
use keywright_domain::{command::Command, key::is_printable, plan};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    caps::DESCRIPTION_MAX_CHARS,
    edge::{StrictJson, StrictPath},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{LimitWindow, NamePath, Plan},
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
    responses((status = 200, description = "The plan.", body = Plan), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(name): StrictPath<String>,
    body: StrictJson<Request>,
) -> Result<Json<Plan>, ApiError> {
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
    let plan = state.commit(context, Command::PutPlan(plan)).await?.plan()?;
    Ok(Json(Plan::from(plan)))
}
