//! `POST /v1/workspaces/{slug}/keys`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{
    command::Command,
    ids::KeyId,
    key::{NewKey, NewSecret, suggest_name},
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

problems! { UnknownPermission, PermissionEscalation, TooManyKeys, AlreadyApplied, IdempotencyMismatch }

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
    let warnings = warnings(&request);
    let (secret, kept) = issue(&state, kind_of(request.environment.into()), scope.now());
    let id = KeyId::generate(scope.now(), &*state.entropy);
    let new = request.into_new_key(&state, id, kept, creator)?;
    let (key, _) = state.commit(context, Command::CreateKey(Box::new(new))).await?.key()?;
    let last_uses = LastUses::default();
    let texts =
        KeyTexts { state: &state, workspace: &scope.workspace, last_uses: &last_uses, now: scope.now() };
    let created = CreatedKey { key: texts.show(key), secret: RevealedSecret(secret), warnings };
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
            "effective_permissions": [
              "prompts:read"
            ],
            "environment": "production",
            "expires_at": "2027-11-21T08:00:00.000Z",
            "external_id": "cust_42",
            "id": "key_01m7yhx3001y00p7tpcjvhkr3j",
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
          "warnings": []
        }
        "#);
        assert_eq!(api.verdict(&holder(&answer.json()["secret"])).await, "ip_not_allowed");
    }
}
