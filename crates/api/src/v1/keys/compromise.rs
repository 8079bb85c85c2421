//! `POST /v1/workspaces/{slug}/keys/{id}/compromise`

use axum::extract::State;
use keywright_domain::{ids::IncidentId, key::KeyChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change;
use crate::{
    actor::{Scope, WriteKeys},
    edge::OptionalJson,
    error::ApiError,
    issue::{issue, kind_of},
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Incident, Key, KeyPath, Receipt, Receipted, RevealedSecret},
};

/// What happened, and whether the key is to live on.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompromiseKey)]
pub(crate) struct Request {
    /// The reason, for the incident and the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
    /// Whether a new secret is issued, so that the key lives on under its id. Otherwise it is revoked.
    replace: Option<bool>,
}

/// A key whose secrets are all dead but the new one.
#[derive(Serialize, ToSchema)]
pub(crate) struct CompromisedKey {
    /// The key as it is now.
    key: Key,
    /// The new secret, if one was asked for. Shown once; it can not be retrieved again.
    secret: Option<RevealedSecret>,
    /// The incident that was opened.
    incident: Option<Incident>,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! { PermissionEscalation, KeyAlreadyRevoked, AlreadyApplied, IdempotencyMismatch }

/// Report a key as compromised
///
/// Needs `keys:write`. Every secret of the key dies now, an incident is opened, and with `replace` (the default) a new
/// secret is returned, all in one step.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/compromise", operation_id = "compromise_key", tag = "Keys",
    params(KeyPath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Option<Request>, example = json!({"reason": "Found in a public repository.", "replace": true})),
    responses((status = 200, description = "The key, its new secret and the incident.", body = CompromisedKey), Accepted<CompromisedKey>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: OptionalJson<Request>,
) -> Result<Receipted<CompromisedKey>, ApiError> {
    let before = scope.key(&state).await?;
    let replace = body.value.replace.unwrap_or(true);
    let issued = replace.then(|| issue(&state, kind_of(before.environment), scope.now()));
    let (secret, replacement) = issued.unzip();
    let compromise = KeyChange::Compromise {
        reason: body.value.reason,
        replacement,
        incident: IncidentId::generate(scope.now(), &*state.entropy),
    };
    let changed = change(&state, &scope.into(), compromise, &body.raw).await?;
    Ok(Receipted::new(changed.receipt, |receipt| CompromisedKey {
        key: changed.key,
        secret: secret.map(RevealedSecret),
        incident: changed.incident.map(Incident::from),
        receipt,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, holder};

    #[tokio::test]
    async fn every_secret_dies_and_a_new_one_comes() {
        let api = Api::start().await;
        let (first, id) = api.key_with(&["prompts:read"]).await;
        let path = format!("/v1/workspaces/acme/keys/{id}");
        let second =
            holder(&api.post(&api.operator, &format!("{path}/rotate"), &json!({})).await.json()["secret"]);
        let answer = api
            .post_once(&api.operator, &format!("{path}/compromise"), "c", &json!({"reason": "Leaked."}))
            .await;
        let third = holder(&answer.json()["secret"]);
        for (secret, verdict) in [(first, "revoked_key"), (second, "revoked_key"), (third, "valid")] {
            assert_eq!(api.verdict(&secret).await, verdict);
        }
        let incident = &answer.json()["incident"];
        assert_eq!((&incident["key_id"], &incident["reason"]), (&json!(id), &json!("Leaked.")));
        let listed = api.get(&api.operator, "/v1/workspaces/acme/incidents").await.json();
        assert_eq!(listed["data"], json!([incident]));
        let again = api
            .post_once(&api.operator, &format!("{path}/compromise"), "c", &json!({"reason": "Leaked."}))
            .await;
        assert_eq!(again.outcome(), "409 already_applied");
    }

    #[tokio::test]
    async fn without_replacement_the_key_is_revoked() {
        let api = Api::start().await;
        let (secret, id) = api.key_with(&[]).await;
        let path = format!("/v1/workspaces/acme/keys/{id}/compromise");
        let answer = api.post(&api.operator, &path, &json!({"replace": false})).await.json();
        assert_eq!((&answer["secret"], &answer["key"]["status"]), (&json!(null), &json!("revoked")));
        assert_eq!(api.verdict(&secret).await, "revoked_key");
        assert_eq!(api.post(&api.operator, &path, &json!({})).await.outcome(), "409 key_already_revoked");
    }
}
