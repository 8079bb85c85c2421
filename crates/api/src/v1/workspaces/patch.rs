//! `PATCH /v1/workspaces/{slug}`

use axum::extract::State;
use keywright_domain::{
    command::Command,
    permission::PermissionSet,
    permit::Actor,
    workspace::{Slug, Workspace as DomainWorkspace, WorkspacePatch, WorkspacePolicy},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::{Caller, Scope, WriteWorkspace},
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    v1::problems::{of_store, of_workspace},
    wire::{Patch, PolicyPatch, Receipt, Receipted, Workspace, WorkspacePath},
};

/// Changes of a workspace. What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchWorkspace)]
pub(crate) struct Request {
    /// The name shown to people.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    name: Patch<String>,
    /// Another name in addresses. The old one goes on leading to the workspace, and no other workspace gets it. Operator only.
    #[serde(default)]
    #[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$")]
    slug: Patch<String>,
    /// Its policy; what is absent in it stays as it is.
    #[serde(default)]
    #[schema(value_type = PolicyPatch)]
    policy: Patch<PolicyPatch>,
    /// The plan's name. Operator only.
    #[serde(default)]
    #[schema(value_type = String)]
    plan: Patch<String>,
    /// Whether all its keys are refused. Operator only.
    #[serde(default)]
    #[schema(value_type = bool)]
    suspended: Patch<bool>,
}

/// A workspace that was changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedWorkspace {
    #[serde(flatten)]
    pub(super) workspace: Workspace,
    #[serde(flatten)]
    pub(super) receipt: Receipt,
}

problems! { UnknownPlan, UnknownPermission, PermissionEscalation, AlreadyExists, LimitReached }

/// Change a workspace
///
/// Needs `workspace:write`. The slug, the plan, suspension, and the policy's `max_keys` and `self_service` are the
/// operator's to decide. A key cannot widen `allowed_permissions` beyond what it was given itself, nor set `allowed_ips`
/// that shut itself out. Whatever a policy takes away from keys, no node gives any more when the answer is there.
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
        let detail = "`slug`, `plan`, `suspended`, `policy.max_keys` and `policy.self_service` are changed with an operator credential.";
        return Err(ApiError::with_detail(ErrorCode::InsufficientPermissions, detail));
    }
    // A policy is written as a whole: without this, two changes at once could undo each other.
    let turn = state.workspace_writes.lock().await;
    let (before, permit) =
        scope.caller.permit_workspace(&state, scope.workspace.slug.as_str(), scope.permit.action()).await?;
    let patch = request.against(&state, &before)?;
    if let Some(policy) = &patch.policy {
        check_widening(&state, &scope.caller, &before, policy).await?;
        check_own_address(&scope.caller, &before, policy)?;
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
        policy || self.slug != Patch::Leave || self.plan != Patch::Leave || self.suspended != Patch::Leave
    }

    fn against(self, state: &AppState, before: &DomainWorkspace) -> Result<WorkspacePatch, ApiError> {
        let policy = match self.policy.required("policy")? {
            Some(policy) => Some(policy.apply(before.policy.clone(), &state.plane.catalogue())?),
            None => None,
        };
        Ok(WorkspacePatch {
            name: self.name.required("name")?,
            policy,
            plan: self.plan.required("plan")?,
            suspended: self.suspended.required("suspended")?,
            slug: match self.slug.required("slug")? {
                Some(slug) => Some(Slug::parse(&slug).map_err(of_workspace)?),
                None => None,
            },
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
    if added.is_empty() {
        return Ok(());
    }
    let held = match caller.actor {
        Actor::Operator(_) | Actor::System => return Ok(()),
        Actor::User { member, .. } => member.map_or(PermissionSet::EMPTY, |member| member.permissions),
        Actor::Key { key, workspace, .. } => {
            let key = state.store.key(workspace, key).await.map_err(of_store)?;
            key.map_or(PermissionSet::EMPTY, |key| {
                key.permissions.intersection(state.plane.creator_permissions(&key.created_by))
            })
        }
    };
    let catalogue = state.plane.catalogue();
    let beyond = added.intersection(catalogue.all()).without(held);
    if beyond.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = catalogue.names(beyond).map(str::to_owned).collect();
    let detail = "A key can not let the workspace's keys do what it was not given itself.";
    Err(ApiError::with_detail(ErrorCode::PermissionEscalation, detail).member("missing_permissions", names))
}

/// Nobody shuts the key out that they call with: the operator would have to let them in again.
fn check_own_address(
    caller: &Caller,
    before: &DomainWorkspace,
    policy: &WorkspacePolicy,
) -> Result<(), ApiError> {
    let Some(address) = caller.origin.address.filter(|_| caller.key.is_some()) else { return Ok(()) };
    let networks = &policy.networks;
    let is_in = networks.iter().any(|network| network.contains(&address.to_canonical()));
    if networks.is_empty() || is_in || *networks == before.policy.networks {
        return Ok(());
    }
    let detail =
        format!("Your own address, {address}, is in none of these networks: you would shut yourself out.");
    Err(ApiError::invalid_field("policy.allowed_ips", detail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, Who};

    const PATH: &str = "/v1/workspaces/acme";

    #[tokio::test]
    async fn the_old_slug_goes_on_leading_to_the_workspace() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        let rename = json!({"slug": "acme-inc"});
        assert_eq!(api.patch(&owner, PATH, &rename).await.outcome(), "403 insufficient_permissions");
        let renamed = api.patch(&api.operator, PATH, &rename).await.json();
        assert_eq!((&renamed["slug"], &renamed["former_slugs"]), (&json!("acme-inc"), &json!(["acme"])));
        for slug in ["acme", "acme-inc"] {
            let path = format!("/v1/workspaces/{slug}");
            assert_eq!(api.get(&owner, &path).await.json()["slug"], "acme-inc", "{slug}");
            let Who::Holder(secret) = &owner else { panic!("nobody") };
            let body = json!({"key": secret, "workspace": slug});
            for who in [&api.operator, &owner] {
                let answer = api.post(who, "/v1/keys/verify", &body).await.json();
                assert_eq!((&answer["code"], &answer["workspace"]), (&json!("valid"), &json!("acme-inc")));
            }
        }
        for body in [json!({"slug": "acme"}), json!({"slug": "acme-inc"})] {
            let taken = api.post(&api.operator, "/v1/workspaces", &body).await;
            assert_eq!(taken.outcome(), "409 already_exists", "{body}");
        }
        api.post(&api.operator, "/v1/workspaces", &json!({"slug": "other"})).await;
        let taken = api.patch(&api.operator, "/v1/workspaces/other", &json!({"slug": "acme"})).await;
        assert_eq!(taken.outcome(), "409 already_exists");
        assert_eq!(
            api.patch(&api.operator, PATH, &json!({"slug": "-"})).await.outcome(),
            "400 invalid_field"
        );
        for number in 0..9 {
            let answer = api.patch(&api.operator, PATH, &json!({"slug": format!("s{number}")})).await;
            assert_eq!(answer.outcome(), "200");
        }
        assert_eq!(
            api.patch(&api.operator, PATH, &json!({"slug": "s9"})).await.outcome(),
            "409 limit_reached"
        );
    }

    #[tokio::test]
    async fn nobody_shuts_themselves_out() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        let allowed = |networks: &[&str]| json!({"policy": {"allowed_ips": networks}});
        let refused = api.patch(&owner, PATH, &allowed(&["192.0.2.0/24"])).await;
        assert_eq!(
            (refused.outcome(), &refused.json()["field"]),
            ("400 invalid_field".into(), &json!("policy.allowed_ips"))
        );
        let answer = api.patch(&api.operator, PATH, &allowed(&["192.0.2.0/24"])).await.json();
        assert_eq!(answer["effective"]["nodes"], 1, "with a receipt");
        assert_eq!(api.get(&owner, PATH).await.outcome(), "403 ip_not_allowed");
        api.patch(&api.operator, PATH, &allowed(&[])).await;
        assert_eq!(api.get(&owner, PATH).await.outcome(), "200");
    }

    #[tokio::test]
    async fn a_longest_life_ends_old_keys_with_a_receipt() {
        let api = Api::start().await;
        let (key, id) = api.key_with(&["prompts:read"]).await;
        api.clock.advance_seconds(10 * 86_400);
        assert_eq!(api.verdict(&key).await, "valid");
        let answer = api.patch(&api.operator, PATH, &json!({"policy": {"max_key_days": 10}})).await.json();
        assert_eq!(answer["effective"]["nodes"], 1);
        let Who::Holder(secret) = &key else { panic!("nobody") };
        let verdict = api.post(&api.operator, "/v1/keys/verify", &json!({"key": secret})).await.json();
        assert_eq!((&verdict["code"], &verdict["reason"]), (&json!("expired_key"), &json!("max_key_days")));
        assert!(verdict["hint"].as_str().unwrap().contains("create a new one"), "{verdict}");
        let shown = api.get(&api.operator, &format!("{PATH}/keys/{id}")).await.json();
        assert_eq!((&shown["status"], &shown["expires_at"]), (&json!("expired"), &json!(null)));
        assert_eq!(shown["effective_expires_at"], "2026-12-01T08:00:00.000Z");
        let listed = api.get(&api.operator, &format!("{PATH}/keys?status=expired")).await.json();
        assert_eq!(listed["data"][0]["id"], json!(id));
        let extend = json!({"expires_at": "2026-12-05T08:00:00Z"});
        let refused = api.patch(&api.operator, &format!("{PATH}/keys/{id}"), &extend).await;
        assert_eq!(refused.outcome(), "400 invalid_field", "it counts from the creation");
        api.patch(&api.operator, PATH, &json!({"policy": {"max_key_days": 11}})).await;
        assert_eq!(api.verdict(&key).await, "valid");
    }

    #[tokio::test]
    async fn an_enforced_rotation_refuses_until_the_key_is_rotated() {
        let api = Api::start().await;
        let (key, id) = api.key_with(&["prompts:read"]).await;
        let policy =
            json!({"policy": {"rotation": {"production": {"days": 30}}, "rotation_mode": "enforce"}});
        assert_eq!(api.patch(&api.operator, PATH, &policy).await.json()["effective"]["nodes"], 1);
        api.clock.advance_ms(30 * 86_400_000 - 1);
        assert_eq!(api.verdict(&key).await, "valid");
        api.clock.advance_ms(1);
        let Who::Holder(secret) = &key else { panic!("nobody") };
        let body = json!({"key": secret, "explain": true});
        let verdict = api.post(&api.operator, "/v1/keys/verify", &body).await.json();
        assert_eq!(
            (&verdict["code"], &verdict["reason"]),
            (&json!("expired_key"), &json!("rotation_overdue"))
        );
        let decided = verdict["checks"].as_array().unwrap().iter().find(|check| check["decided"] == true);
        assert_eq!(decided.unwrap()["check"], "rotation");
        let refused = api.get(&key, "/v1/whoami").await;
        assert_eq!(refused.outcome(), "401 expired_key");
        assert!(refused.json()["detail"].as_str().unwrap().contains("rotate it"), "{}", refused.text);
        let rotated = api.post(&api.operator, &format!("{PATH}/keys/{id}/rotate"), &json!({})).await.json();
        let new = crate::harness::holder(&rotated["secret"]);
        assert_eq!((api.verdict(&new).await, api.verdict(&key).await), ("valid".into(), "valid".into()));
        assert_eq!(rotated["key"]["status"], "active");
        let warn = json!({"policy": {"rotation_mode": null}});
        let lifted = api.patch(&api.operator, PATH, &warn).await.json();
        assert_eq!(lifted["policy"]["rotation_mode"], "warn");
    }

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
            (json!({"idle_days": 1}), "200"),
            (json!({"idle_days": 3_650}), "200"),
            (json!({"idle_days": 0}), "400 invalid_field"),
            (json!({"idle_days": 3_651}), "400 invalid_field"),
            (json!({"idle_action": "disable"}), "200"),
            (json!({"idle_days": null}), "400 invalid_field"),
            (json!({"idle_days": null, "idle_action": null}), "200"),
            (json!({"idle_action": "disable"}), "400 invalid_field"),
            (json!({"idle_action": "delete"}), "400 invalid_field"),
            (json!({"rotation_mode": "enforce"}), "200"),
            (json!({"rotation_mode": null}), "200"),
            (json!({"rotation_mode": "x"}), "400 invalid_field"),
            (json!({"allowed_ips": (0..64).map(|n| format!("10.0.{n}.0/24")).collect::<Vec<_>>()}), "200"),
            (
                json!({"allowed_ips": (0..65).map(|n| format!("10.0.{n}.0/24")).collect::<Vec<_>>()}),
                "400 invalid_field",
            ),
            (json!({"allowed_ips": ["10.0.0.1/8"]}), "400 invalid_field"),
            (json!({"allowed_ips": null}), "200"),
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
