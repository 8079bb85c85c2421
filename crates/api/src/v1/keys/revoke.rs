//! `POST /v1/workspaces/{slug}/keys/{id}/revoke`

use axum::extract::State;
use keywright_domain::key::KeyChange;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ChangedKey, change};
use crate::{
    actor::{Place, WriteKeys},
    edge::OptionalJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{KeyPath, Receipted},
};

/// Why a key is revoked.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeKey)]
pub(crate) struct Request {
    /// The reason, for the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

problems! {}

/// Revoke a key
///
/// Needs `keys:write`. Final. When the answer is there, no node accepts the key. Revoking it again changes nothing.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/revoke", operation_id = "revoke_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Option<Request>, example = json!({"reason": "The contractor left."})),
    responses((status = 200, description = "The key as it is now, and the receipt.", body = ChangedKey), Accepted<ChangedKey>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    place: Place<WriteKeys>,
    body: OptionalJson<Request>,
) -> Result<Receipted<ChangedKey>, ApiError> {
    let revoke = KeyChange::Revoke { reason: body.value.reason };
    let changed = change(&state, &place, revoke, &[]).await?;
    Ok(changed.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn final_with_a_receipt() {
        let api = Api::start().await;
        let (secret, id) = api.key_with(&["prompts:read"]).await;
        let path = format!("/v1/workspaces/acme/keys/{id}");
        let answer = api
            .post(&api.operator, &format!("{path}/revoke"), &json!({"reason": "The contractor left."}))
            .await;
        assert_eq!(answer.json()["effective"], json!({"nodes": 1, "waited_ms": 0.0, "silent": 0}));
        assert_eq!(api.verdict(&secret).await, "revoked_key");
        let key = api.get(&api.operator, &path).await.json();
        assert_eq!(
            (&key["status"], &key["revoked_reason"]),
            (&json!("revoked"), &json!("The contractor left."))
        );
        assert_eq!(
            (&key["revoked_at"], &key["rotation_due_at"]),
            (&json!("2026-11-21T08:00:00.000Z"), &json!(null))
        );
        api.clock.advance_seconds(5);
        let again =
            api.post(&api.operator, &format!("{path}/revoke"), &json!({"reason": "Another reason."})).await;
        assert_eq!(again.outcome(), "200");
        assert_eq!(again.json()["key"], key, "the first reason and time stand");
        assert_eq!(api.get(&secret, "/v1/permissions").await.outcome(), "401 revoked_key");
    }

    #[tokio::test]
    async fn a_node_that_is_lost_delays_the_receipt_and_nothing_else() {
        let api = Api::start().await;
        let (secret, id) = api.key_with(&[]).await;
        let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
        api.cluster.lose_a_node(true);
        api.cluster.asked();
        let answer = api.post(&api.operator, &path, &json!({})).await;
        assert_eq!((answer.outcome(), api.verdict(&secret).await), ("202".into(), "revoked_key".into()));
        insta::assert_json_snapshot!(answer.json()["operation"], @r#"
        {
          "complete_by_ms": 37000,
          "id": "op_0000000000002g5j4n0d30v4st",
          "sequence": 5,
          "status": "waiting",
          "waiting_on": [
            {
              "lease_left_ms": 28501,
              "node": "eu-2"
            }
          ]
        }
        "#);
        let again = api.post(&api.operator, &path, &json!({})).await;
        assert_eq!(again.outcome(), "202", "a repeat does not say that it is done");
        assert_eq!(api.cluster.asked().len(), 2);
        api.cluster.lose_a_node(false);
        assert_eq!(api.post(&api.operator, &path, &json!({})).await.outcome(), "200");
    }

    #[tokio::test]
    async fn the_reason_has_limits() {
        let api = Api::start().await;
        let (_, id) = api.key_with(&[]).await;
        let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
        for reason in [json!(""), json!("x".repeat(501)), json!("a\u{1}"), json!(1)] {
            assert_eq!(
                api.post(&api.operator, &path, &json!({"reason": reason})).await.outcome(),
                "400 invalid_field"
            );
        }
        let longest = json!({"reason": "x".repeat(500)});
        assert_eq!(api.post(&api.operator, &path, &longest).await.outcome(), "200");
    }
}
