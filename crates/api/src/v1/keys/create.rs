//! `POST /v1/workspaces/{slug}/keys`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    command::Command,
    ids::KeyId,
    key::{NewKey, NewSecret, suggest_name},
    member::MemberCommand,
    principal::Creator,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::fields;
use crate::{
    actor::{Scope, WriteKeys},
    edge::StrictJson,
    error::ApiError,
    issue::{issue, kind_of},
    openapi::problems,
    state::AppState,
    v1::members::account_id,
    wire::{
        Environment, Key, KeyTexts, LastUses, LimitWindow, RevealedSecret, Time, WorkspacePath,
        parse_networks,
    },
};

/// A key to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateKey)]
pub(crate) struct Request {
    /// The name.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// The environment; `production` makes a live key, all others test keys.
    environment: Environment,
    /// What it is for.
    #[schema(min_length = 1, max_length = 500)]
    purpose: Option<String>,
    /// What it may do; the workspace's default unless given. Not more than the caller may.
    permissions: Option<Vec<String>>,
    /// The service account that it is created for; whoever calls unless given. The key has no more than the account has.
    #[schema(pattern = "^sa_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "sa_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    service_account: Option<String>,
    /// When it expires; never unless given.
    expires_at: Option<Time>,
    /// Addresses and networks it may be used from; any unless given.
    #[schema(max_items = 64)]
    allowed_ips: Option<Vec<String>>,
    /// Windows of its own; those of the plan unless given.
    #[schema(max_items = 8)]
    limits: Option<Vec<LimitWindow>>,
    /// Your own name for the customer.
    #[schema(min_length = 1, max_length = 128)]
    external_id: Option<String>,
    /// Whatever you want to keep with it, at most 4096 bytes.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// A key that was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    /// The key.
    key: Key,
    /// The secret. Shown once; it can not be retrieved again.
    secret: RevealedSecret,
    /// What could be better.
    warnings: Vec<Warning>,
    /// The change's place in the log. Pass it as `min_seq` to be answered by a node that knows the key.
    #[schema(example = 42)]
    sequence: u64,
}

/// Something that could be better.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyWarning)]
pub(crate) struct Warning {
    /// The stable code.
    #[schema(example = "vague_name")]
    code: &'static str,
    /// The field it is about.
    #[schema(example = "name")]
    field: &'static str,
    /// What could be better.
    message: String,
    /// What would be.
    #[schema(example = "production-web-app")]
    suggestion: String,
}

problems! { UnknownPermission, PermissionEscalation, TooManyKeys, Conflict, AlreadyApplied, IdempotencyMismatch }

/// Create a key
///
/// Needs `keys:write`. The secret is in this answer and nowhere else. A key is never stronger than who creates it.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys", operation_id = "create_key", tag = "Keys",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({
        "name": "production-web-app", "purpose": "Main website customer support", "environment": "production",
        "permissions": ["prompts:read"], "expires_at": null, "allowed_ips": ["203.0.113.0/24"],
        "limits": [{"name": "minute", "limit": 1000, "window_seconds": 60, "algorithm": "sliding"}],
        "external_id": "cust_42", "metadata": {"team": "web"},
    })),
    responses((status = 201, description = "The key and, once, its secret.", body = CreatedKey), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let actor = &scope.caller.actor;
    let creator = actor.as_creator().ok_or_else(|| ApiError::internal("the system called over HTTP"))?;
    let origin = &scope.caller.origin;
    let context = origin.context(&state, scope.permit, origin.idempotency(actor, &body.raw));
    let request = body.value;
    let account =
        request.service_account.as_deref().map(|id| account_id("service_account", id)).transpose()?;
    let warnings = warnings(&request);
    let (secret, kept) = issue(&state, kind_of(request.environment.into()), scope.now());
    let id = KeyId::generate(scope.now(), &*state.entropy);
    let new = Box::new(request.into_new_key(&state, id, kept, creator)?);
    let command = match account {
        None => Command::CreateKey(new),
        Some(account) => Command::Member(MemberCommand::CreateKeyFor { account, new }),
    };
    let done = state.commit(origin, context, command).await?;
    let sequence = done.sequence();
    let key = done.key()?;
    let last_uses = LastUses::default();
    let texts =
        KeyTexts { state: &state, workspace: &scope.workspace, last_uses: &last_uses, now: scope.now() };
    let created = CreatedKey { key: texts.show(key), secret: RevealedSecret(secret), warnings, sequence };
    Ok((StatusCode::CREATED, Json(created)))
}

impl Request {
    fn into_new_key(
        self,
        state: &AppState,
        id: KeyId,
        secret: NewSecret,
        created_by: Creator,
    ) -> Result<NewKey, ApiError> {
        Ok(NewKey {
            id,
            secret,
            permissions: self.permissions.map(|names| fields::permissions(state, &names)).transpose()?,
            networks: parse_networks(self.allowed_ips.as_deref().unwrap_or_default())?,
            limits: self.limits.map(fields::limits),
            metadata: fields::metadata(&self.metadata.unwrap_or_default()),
            name: self.name,
            purpose: self.purpose,
            environment: self.environment.into(),
            created_by,
            expires_at: self.expires_at.map(|time| time.0),
            external_id: self.external_id,
        })
    }
}

/// A vague name is never refused: people may call a key what they like.
fn warnings(request: &Request) -> Vec<Warning> {
    let suggestion = suggest_name(&request.name, request.environment.into(), request.purpose.as_deref());
    let warning = suggestion.map(|suggestion| Warning {
        code: "vague_name",
        field: "name",
        message: format!(
            "The name says little about what the key is for; something like `{suggestion}` would."
        ),
        suggestion,
    });
    warning.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, holder};

    const PATH: &str = "/v1/workspaces/acme/keys";

    #[tokio::test]
    #[expect(clippy::too_many_lines, reason = "the answer in full")]
    async fn everything_that_was_asked_for_is_in_the_answer() {
        let api = Api::start().await;
        let body = json!({
            "name": "production-web-app", "purpose": "Main website customer support", "environment": "production",
            "permissions": ["prompts:read"], "expires_at": "2027-11-21T10:00:00+02:00",
            "allowed_ips": ["203.0.113.0/24", "127.0.0.1"],
            "limits": [{"name": "minute", "limit": 1000, "window_seconds": 60}],
            "external_id": "cust_42", "metadata": {"team": "web"},
        });
        let answer = api.post(&api.operator, PATH, &body).await;
        assert_eq!(answer.outcome(), "201");
        assert_eq!(answer.headers["cache-control"], "no-store");
        insta::assert_json_snapshot!(answer.shown(), @r#"
        {
          "key": {
            "allowed_ips": [
              "203.0.113.0/24",
              "127.0.0.1"
            ],
            "created_at": "2026-11-21T08:00:00.000Z",
            "created_by": {
              "id": "opr_01m7yhx300e51gr1xjqpv7qrt9",
              "type": "operator"
            },
            "creator_active": true,
            "effective_expires_at": "2027-11-21T08:00:00.000Z",
            "effective_permissions": [
              "prompts:read"
            ],
            "environment": "production",
            "expires_at": "2027-11-21T08:00:00.000Z",
            "external_id": "cust_42",
            "id": "key_01m7yhx3001y00p7tpcjvhkr3j",
            "idle": false,
            "last_used_at": null,
            "limits": [
              {
                "algorithm": "sliding",
                "limit": 1000,
                "name": "minute",
                "window_seconds": 60
              }
            ],
            "metadata": {
              "team": "web"
            },
            "mode": "live",
            "name": "production-web-app",
            "permissions": [
              "prompts:read"
            ],
            "purpose": "Main website customer support",
            "revoked_at": null,
            "revoked_reason": null,
            "rotation_due_at": "2027-02-19T08:00:00.000Z",
            "secrets": [
              {
                "created_at": "2026-11-21T08:00:00.000Z",
                "expires_at": null,
                "hint": "sk_live_GMxyd0Ffjvxd…VPP3",
                "id": "sec_01m7yhx300cdaa8h1fmh2kgxkp",
                "last_used_at": null
              }
            ],
            "status": "active",
            "workspace": "acme"
          },
          "secret": "[secret]",
          "sequence": 4,
          "warnings": []
        }
        "#);
        assert_eq!(api.verdict(&holder(&answer.json()["secret"])).await, "ip_not_allowed");
    }
    #[tokio::test]
    async fn name_and_environment_are_enough() {
        let api = Api::start().await;
        let answer = api.post(&api.operator, PATH, &json!({"name": "web", "environment": "staging"})).await;
        let key = &answer.json()["key"];
        assert_eq!(key["permissions"], json!(["prompts:read", "prompts:list", "context:download"]));
        assert_eq!(
            (&key["mode"], &key["limits"], &key["metadata"]),
            (&json!("test"), &json!(null), &json!({}))
        );
        assert!(answer.json()["secret"].as_str().unwrap().starts_with("sk_test_"));
        assert_eq!(api.verdict(&holder(&answer.json()["secret"])).await, "valid");
    }

    #[tokio::test]
    async fn a_vague_name_is_taken_with_a_suggestion() {
        let api = Api::start().await;
        let body = json!({"name": "key1", "environment": "production", "purpose": "Billing worker"});
        let answer = api.post(&api.operator, PATH, &body).await;
        assert_eq!(answer.outcome(), "201");
        insta::assert_json_snapshot!(answer.json()["warnings"], @r#"
        [
          {
            "code": "vague_name",
            "field": "name",
            "message": "The name says little about what the key is for; something like `production-billing-worker` would.",
            "suggestion": "production-billing-worker"
          }
        ]
        "#);
    }

    #[tokio::test]
    async fn a_repeat_has_no_second_effect_and_gives_no_secret() {
        let api = Api::start().await;
        let body = json!({"name": "web", "environment": "ci"});
        let first = api.post_once(&api.operator, PATH, "once", &body).await;
        let (id, hint) =
            (first.json()["key"]["id"].clone(), first.json()["key"]["secrets"][0]["hint"].clone());
        let second = api.post_once(&api.operator, PATH, "once", &body).await;
        assert_eq!(second.outcome(), "409 already_applied");
        assert_eq!((&second.json()["key_id"], &second.json()["hint"]), (&id, &hint));
        let other =
            api.post_once(&api.operator, PATH, "once", &json!({"name": "b", "environment": "ci"})).await;
        assert_eq!(other.outcome(), "422 idempotency_mismatch");
        let owner = api.owner_key().await;
        assert_eq!(api.post_once(&owner, PATH, "once", &body).await.outcome(), "201", "another caller's key");
        assert_eq!(api.get(&api.operator, PATH).await.json()["data"].as_array().unwrap().len(), 3);
        api.clock.advance_seconds(24 * 3_600);
        assert_eq!(api.post_once(&api.operator, PATH, "once", &body).await.outcome(), "201", "a day later");
    }

    #[tokio::test]
    async fn a_key_is_never_stronger_than_its_creator() {
        let api = Api::start().await;
        let (weak, _) = api.key_with(&["keys:write", "prompts:read"]).await;
        let body =
            |permissions: &[&str]| json!({"name": "web", "environment": "ci", "permissions": permissions});
        assert_eq!(api.post(&weak, PATH, &body(&["prompts:read"])).await.outcome(), "201");
        let refused = api.post(&weak, PATH, &body(&["prompts:read", "audit:read"])).await;
        assert_eq!(refused.outcome(), "403 permission_escalation");
        assert_eq!(refused.json()["missing_permissions"], json!(["audit:read"]));
        let by_default = api.post(&weak, PATH, &json!({"name": "web", "environment": "ci"})).await;
        assert_eq!(by_default.json()["key"]["permissions"], json!(["prompts:read"]));
        assert_eq!(api.post(&weak, PATH, &body(&["no:such"])).await.outcome(), "400 unknown_permission");
    }

    #[tokio::test]
    async fn what_the_creator_loses_the_key_loses() {
        let api = Api::start().await;
        let (creator, _) = api.key_with(&["keys:write", "prompts:read"]).await;
        let body = json!({"name": "web", "environment": "ci", "permissions": ["prompts:read"]});
        let key = api.post(&creator, PATH, &body).await.json();
        let policy = json!({"policy": {"allowed_permissions": ["keys:write"]}});
        assert_eq!(api.patch(&api.operator, "/v1/workspaces/acme", &policy).await.outcome(), "200");
        let path = format!("{PATH}/{}", key["key"]["id"].as_str().unwrap());
        let now = api.get(&api.operator, &path).await.json();
        assert_eq!(
            (&now["permissions"], &now["effective_permissions"]),
            (&json!(["prompts:read"]), &json!([]))
        );
    }

    #[tokio::test]
    async fn every_field_has_limits_on_both_sides() {
        let api = Api::start().await;
        let filled = |count: usize| json!("x".repeat(count));
        let many =
            |count: usize| (0..count).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect::<Vec<_>>();
        let windows = |count: usize| {
            let window = |n| json!({"name": format!("w{n}"), "limit": 1, "window_seconds": 1});
            json!((0..count).map(window).collect::<Vec<_>>())
        };
        let window =
            |limit: u64, seconds: u64| json!([{"name": "w", "limit": limit, "window_seconds": seconds}]);
        let cases = [
            (
                "name",
                vec![filled(1), filled(64), json!("é".repeat(64))],
                vec![json!(""), filled(65), json!(" "), json!("a\n")],
            ),
            ("purpose", vec![json!(null), filled(500)], vec![json!(""), filled(501), json!("a\u{0}")]),
            ("external_id", vec![json!(null), filled(128)], vec![json!(""), filled(129)]),
            (
                "allowed_ips",
                vec![json!([]), json!(many(64))],
                vec![json!(many(65)), json!(["10.0.0.1/8"]), json!(["x"])],
            ),
            (
                "limits",
                vec![json!([]), windows(8), window(1, 1), window(4_000_000_000, 31_622_400)],
                vec![windows(9), window(0, 1), window(4_000_000_001, 1), window(1, 0), window(1, 31_622_401)],
            ),
            (
                "metadata",
                vec![json!({}), json!({"a": "x".repeat(4_088)})],
                vec![json!({"a": "x".repeat(4_089)})],
            ),
            (
                "expires_at",
                vec![json!("2026-11-21T08:00:01Z"), json!("2126-10-28T08:00:00Z")],
                vec![
                    json!("2026-11-21T08:00:00.999Z"),
                    json!("2126-10-28T08:00:00.001Z"),
                    json!("2026-11-22"),
                    json!("now"),
                ],
            ),
        ];
        for (field, good, bad) in cases {
            for (values, expected) in [(good, "201"), (bad, "400 invalid_field")] {
                for value in values {
                    let mut body = json!({"name": "web", "environment": "ci"});
                    body[field] = value;
                    let answer = api.post(&api.operator, PATH, &body).await;
                    assert_eq!(answer.outcome(), expected, "{field} {:.80}", body[field]);
                    if expected != "201" {
                        let named = answer.json()["field"].as_str().unwrap().to_owned();
                        assert!(named.starts_with(field), "{field} {named}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn the_workspace_has_as_many_keys_as_its_policy_allows() {
        let api = Api::start().await;
        api.patch(&api.operator, "/v1/workspaces/acme", &json!({"policy": {"max_keys": 2}})).await;
        let body = json!({"name": "web", "environment": "ci"});
        for expected in ["201", "201", "409 too_many_keys"] {
            assert_eq!(api.post(&api.operator, PATH, &body).await.outcome(), expected);
        }
    }

    #[tokio::test]
    async fn where_the_operator_issues_keys_nobody_else_does() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        let body = json!({"name": "web", "environment": "ci"});
        api.patch(&api.operator, "/v1/workspaces/acme", &json!({"policy": {"self_service": false}})).await;
        assert_eq!(api.post(&owner, PATH, &body).await.outcome(), "403 insufficient_permissions");
        assert_eq!(api.post(&api.operator, PATH, &body).await.outcome(), "201");
    }
}
