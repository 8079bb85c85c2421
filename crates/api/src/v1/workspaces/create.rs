//! `POST /v1/workspaces`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    command::{Command, NewWorkspace},
    ids::WorkspaceId,
    plan::Plan,
    workspace::{Slug, WorkspacePolicy},
};
use serde::Deserialize;
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

problems! { AlreadyExists, UnknownPlan, UnknownPermission, AlreadyApplied, IdempotencyMismatch }

/// Create a workspace
///
/// Operator only.
#[utoipa::path(
    post, path = "/v1/workspaces", operation_id = "create_workspace", tag = "Workspaces",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"slug": "acme", "name": "Acme Inc.", "plan": "standard"})),
    responses((status = 201, description = "The workspace.", body = Workspace), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<Workspace>), ApiError> {
    let idempotency = caller.origin.idempotency(&caller.actor, &body.raw);
    let command = new_workspace(&state, body.value, caller.origin.now)?;
    let context = caller.origin.context(&state, permit, idempotency);
    let done = state.commit(context, Command::CreateWorkspace(Box::new(command))).await?;
    Ok((StatusCode::CREATED, Json(Workspace::new(done.workspace()?, &state.plane.catalogue()))))
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
