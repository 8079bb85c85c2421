//! `PATCH /v1/workspaces/{slug}`

use axum::{Json, extract::State};
use keywright_domain::{
    command::Command,
    permission::PermissionSet,
    permit::Actor,
    workspace::{Workspace as DomainWorkspace, WorkspacePatch, WorkspacePolicy},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::{Caller, Scope, WriteWorkspace},
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Effective, Patch, PolicyPatch, Workspace, WorkspacePath},
};

/// Changes of a workspace. What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchWorkspace)]
pub(crate) struct Request {
    /// The name shown to people.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    name: Patch<String>,
    /// Its policy; what is absent in it stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<PolicyPatch>)]
    policy: Patch<PolicyPatch>,
    /// The plan's name. Operator only.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    plan: Patch<String>,
    /// Whether all its keys are refused. Operator only.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    suspended: Patch<bool>,
}

/// A workspace that was changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedWorkspace {
    #[serde(flatten)]
    workspace: Workspace,
    /// The receipt.
    effective: Effective,
}

problems! { UnknownPlan, UnknownPermission, PermissionEscalation }

/// Change a workspace
///
/// Needs `workspace:write`. The plan, suspension, and the policy's `max_keys` and `self_service` are the operator's
/// to decide. A key cannot widen `allowed_permissions` beyond what it was given itself.
#[utoipa::path(
    patch, path = "/v1/workspaces/{slug}", operation_id = "patch_workspace", tag = "Workspaces",
    params(WorkspacePath),
    request_body(content = Request, example = json!({"policy": {"rotation": {"production": {"days": 30}}}})),
    responses((status = 200, description = "The workspace as it is now.", body = ChangedWorkspace), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteWorkspace>,
    body: StrictJson<Request>,
) -> Result<Json<ChangedWorkspace>, ApiError> {
    let request = body.value;
    if !scope.permit.is_operator() && request.needs_operator() {
        let detail = "`plan`, `suspended`, `policy.max_keys` and `policy.self_service` are changed with an operator credential.";
        return Err(ApiError::with_detail(ErrorCode::InsufficientPermissions, detail));
    }
    // A policy is written as a whole: without this, two changes at once could undo each other.
    let _turn = state.workspace_writes.lock().await;
    let (before, permit) =
        scope.caller.permit_workspace(&state, scope.workspace.slug.as_str(), scope.permit.action()).await?;
    let patch = request.against(&state, &before)?;
    if let Some(policy) = &patch.policy {
        check_widening(&state, &scope.caller, &before, policy).await?;
    }
    let context = scope.caller.origin.context(&state, permit, None);
    let done = state.commit(context, Command::PatchWorkspace { workspace: before.id, patch }).await?;
    let effective = done.effective.into();
    let workspace = Workspace::new(done.workspace()?, &state.plane.catalogue());
    Ok(Json(ChangedWorkspace { workspace, effective }))
}

impl Request {
    fn needs_operator(&self) -> bool {
        let policy = matches!(&self.policy, Patch::Set(policy) if policy.needs_operator());
        policy || self.plan != Patch::Leave || self.suspended != Patch::Leave
    }

    fn against(self, state: &AppState, before: &DomainWorkspace) -> Result<WorkspacePatch, ApiError> {
        let policy = match self.policy.required("policy")? {
            Some(policy) => Some(policy.apply(before.policy, &state.plane.catalogue())?),
            None => None,
        };
        Ok(WorkspacePatch {
            name: self.name.required("name")?,
            policy,
            plan: self.plan.required("plan")?,
            suspended: self.suspended.required("suspended")?,
        })
    }
}

/// A wider policy gives keys more; nobody gives what was not given to them. The policy itself does not count here:
/// otherwise no key could ever take a narrowing back.
async fn check_widening(
    state: &AppState,
    caller: &Caller,
    before: &DomainWorkspace,
    policy: &WorkspacePolicy,
) -> Result<(), ApiError> {
    let added = policy.allowed_permissions.without(before.policy.allowed_permissions);
    let Actor::Key { key, workspace, .. } = caller.actor else { return Ok(()) };
    if added.is_empty() {
        return Ok(());
    }
    let key = state.store.key(workspace, key).await.map_err(of_store)?;
    let held = key.map_or(PermissionSet::EMPTY, |key| {
        key.permissions.intersection(state.plane.creator_permissions(&key.created_by))
    });
    let catalogue = state.plane.catalogue();
    let beyond = added.intersection(catalogue.all()).without(held);
    if beyond.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = catalogue.names(beyond).map(str::to_owned).collect();
    let detail = "A key can not let the workspace's keys do what it was not given itself.";
    Err(ApiError::with_detail(ErrorCode::PermissionEscalation, detail).member("missing_permissions", names))
}
