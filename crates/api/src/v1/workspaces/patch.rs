//! `PATCH /v1/workspaces/{slug}`

use axum::extract::State;
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
    openapi::{Accepted, problems},
    state::AppState,
    v1::problems::of_store,
    wire::{Patch, PolicyPatch, Receipt, Receipted, Workspace, WorkspacePath},
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
    #[serde(flatten)]
    receipt: Receipt,
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
    responses((status = 200, description = "The workspace as it is now.", body = ChangedWorkspace), Accepted<ChangedWorkspace>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteWorkspace>,
    body: StrictJson<Request>,
) -> Result<Receipted<ChangedWorkspace>, ApiError> {
    let request = body.value;
    if !scope.permit.is_operator() && request.needs_operator() {
        let detail = "`plan`, `suspended`, `policy.max_keys` and `policy.self_service` are changed with an operator credential.";
        return Err(ApiError::with_detail(ErrorCode::InsufficientPermissions, detail));
    }
    // A policy is written as a whole: without this, two changes at once could undo each other.
    let turn = state.workspace_writes.lock().await;
    let (before, permit) =
        scope.caller.permit_workspace(&state, scope.workspace.slug.as_str(), scope.permit.action()).await?;
    let patch = request.against(&state, &before)?;
    if let Some(policy) = &patch.policy {
        check_widening(&state, &scope.caller, &before, policy).await?;
    }
    let context = scope.caller.origin.context(&state, permit, None);
    let carried = state.carry_out(context, Command::PatchWorkspace { workspace: before.id, patch }).await?;
    drop(turn);
    let done = state.hold(&scope.caller.origin, carried).await;
    let receipt = done.receipt.clone();
    let workspace = Workspace::new(done.workspace()?, &state.plane.catalogue());
    Ok(Receipted::new(receipt, |receipt| ChangedWorkspace { workspace, receipt }))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    const PATH: &str = "/v1/workspaces/acme";

    #[tokio::test]
    async fn what_is_absent_stays() {
        let api = Api::start().await;
        let before = api.get(&api.operator, PATH).await.json();
        let mut unchanged = api.patch(&api.operator, PATH, &json!({})).await.json();
        unchanged.as_object_mut().unwrap().remove("effective").unwrap();
        assert!(unchanged.as_object_mut().unwrap().remove("sequence").unwrap().is_u64());
        assert_eq!(unchanged, before);
        let body = json!({
            "name": "Acme Inc.",
            "policy": {"rotation": {"production": {"months": 1}, "ci": null}, "max_key_days": 30, "overlap_seconds": 0},
        });
        let after = api.patch(&api.operator, PATH, &body).await.json();
        let mut expected = before["policy"].clone();
        expected["rotation"]["production"] = json!({"months": 1});
        expected["rotation"]["ci"] = json!(null);
        expected["max_key_days"] = json!(30);
        expected["overlap_seconds"] = json!(0);
        assert_eq!(
            (&after["name"], &after["policy"], &after["plan"]),
            (&json!("Acme Inc."), &expected, &before["plan"])
        );
        let cleared = api
            .patch(
                &api.operator,
                PATH,
                &json!({"policy": {"max_key_days": null, "rotation": null, "overlap_seconds": null}}),
            )
            .await;
        assert_eq!(cleared.json()["policy"], before["policy"]);
    }

    #[tokio::test]
    async fn the_operator_decides_some_things_alone() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        for body in [
            json!({"plan": "enterprise"}),
            json!({"suspended": true}),
            json!({"policy": {"max_keys": 5}}),
            json!({"policy": {"self_service": true}}),
        ] {
            assert_eq!(
                api.patch(&owner, PATH, &body).await.outcome(),
                "403 insufficient_permissions",
                "{body}"
            );
            assert_eq!(api.patch(&api.operator, PATH, &body).await.outcome(), "200", "{body}");
            api.patch(&api.operator, PATH, &json!({"suspended": false})).await;
        }
    }

    #[tokio::test]
    async fn a_suspended_workspace_has_no_keys_that_work() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        let answer = api.patch(&api.operator, PATH, &json!({"suspended": true})).await.json();
        assert_eq!((&answer["suspended"], &answer["effective"]["nodes"]), (&json!(true), &json!(1)));
        assert_eq!(api.verdict(&owner).await, "workspace_suspended");
        assert_eq!(api.get(&owner, PATH).await.outcome(), "403 workspace_suspended");
        api.patch(&api.operator, PATH, &json!({"suspended": false})).await;
        assert_eq!(api.get(&owner, PATH).await.outcome(), "200");
    }

    #[tokio::test]
    async fn a_key_takes_back_what_it_narrowed_but_gives_no_more_than_it_has() {
        let api = Api::start().await;
        let (narrow, _) = api.key_with(&["workspace:write", "prompts:read"]).await;
        let allowed = |names: &[&str]| json!({"policy": {"allowed_permissions": names}});
        assert_eq!(api.patch(&narrow, PATH, &allowed(&["workspace:write"])).await.outcome(), "200");
        let wider = api.patch(&narrow, PATH, &allowed(&["workspace:write", "prompts:read"])).await;
        assert_eq!(wider.outcome(), "200");
        let refused = api.patch(&narrow, PATH, &allowed(&["workspace:write", "audit:read"])).await;
        assert_eq!(
            (refused.outcome(), &refused.json()["missing_permissions"]),
            ("403 permission_escalation".into(), &json!(["audit:read"]))
        );
        let everything = json!({"policy": {"allowed_permissions": null}});
        assert_eq!(api.patch(&narrow, PATH, &everything).await.outcome(), "403 permission_escalation");
        assert_eq!(
            api.patch(&api.operator, PATH, &everything).await.json()["policy"]["allowed_permissions"],
            json!(null)
        );
    }

    #[tokio::test]
    async fn policies_have_limits() {
        let api = Api::start().await;
        for (policy, expected) in [
            (json!({"overlap_seconds": 7_776_000}), "200"),
            (json!({"overlap_seconds": 7_776_001}), "400 invalid_field"),
            (json!({"max_key_days": 1}), "200"),
            (json!({"max_key_days": 36_500}), "200"),
            (json!({"max_key_days": 0}), "400 invalid_field"),
            (json!({"max_key_days": 36_501}), "400 invalid_field"),
            (json!({"max_keys": 1}), "200"),
            (json!({"max_keys": 10_000_000}), "200"),
            (json!({"max_keys": 0}), "400 invalid_field"),
            (json!({"max_keys": 10_000_001}), "400 invalid_field"),
            (json!({"lease_seconds": 0}), "200"),
            (json!({"lease_seconds": 3}), "200"),
            (json!({"lease_seconds": 300}), "200"),
            (json!({"lease_seconds": null}), "200"),
            (json!({"lease_seconds": 29}), "400 invalid_field"),
            (json!({"lease_seconds": 301}), "400 invalid_field"),
            (json!({"atomic_revocation": true}), "200"),
            (json!({"atomic_revocation": null}), "400 invalid_field"),
            (json!({"rotation": {"ci": {"days": 3_650}}}), "200"),
            (json!({"rotation": {"ci": {"months": 120}}}), "200"),
            (json!({"rotation": {"ci": {"days": 3_651}}}), "400 invalid_field"),
            (json!({"rotation": {"ci": {"months": 121}}}), "400 invalid_field"),
            (json!({"rotation": {"ci": {"days": 0}}}), "400 invalid_field"),
            (json!({"rotation": {"ci": {"weeks": 1}}}), "400 invalid_field"),
            (json!({"self_service": null}), "400 invalid_field"),
            (json!({"unknown": 1}), "400 unknown_field"),
        ] {
            let answer = api.patch(&api.operator, PATH, &json!({"policy": policy})).await;
            assert_eq!(answer.outcome(), expected, "{policy}");
        }
        assert_eq!(
            api.patch(&api.operator, PATH, &json!({"plan": "none"})).await.outcome(),
            "400 unknown_plan"
        );
        assert_eq!(
            api.patch(&api.operator, PATH, &json!({"name": null})).await.outcome(),
            "400 invalid_field"
        );
    }

    #[tokio::test]
    async fn a_policy_can_demand_an_expiry() {
        let api = Api::start().await;
        api.patch(&api.operator, PATH, &json!({"policy": {"max_key_days": 30}})).await;
        for (expires_at, expected) in [
            (json!(null), "400 invalid_field"),
            (json!("2026-12-21T08:00:00Z"), "201"),
            (json!("2026-12-21T08:00:00.001Z"), "400 invalid_field"),
        ] {
            let body = json!({"name": "web", "environment": "ci", "expires_at": expires_at});
            assert_eq!(
                api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await.outcome(),
                expected,
                "{expires_at}"
            );
        }
    }

    #[tokio::test]
    async fn changes_at_once_do_not_undo_each_other() {
        let api = Api::start().await;
        let (first, second) =
            (json!({"policy": {"overlap_seconds": 1}}), json!({"policy": {"max_key_days": 2}}));
        let (first, second) =
            tokio::join!(api.patch(&api.operator, PATH, &first), api.patch(&api.operator, PATH, &second),);
        assert_eq!((first.outcome(), second.outcome()), ("200".into(), "200".into()));
        let policy = &api.get(&api.operator, PATH).await.json()["policy"];
        assert_eq!((&policy["overlap_seconds"], &policy["max_key_days"]), (&json!(1), &json!(2)));
    }
}
