//! `POST /v1/workspaces/{slug}/keys/{id}/rotate`

use axum::extract::State;
use keywright_domain::key::KeyChange;
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
    wire::{Key, KeyPath, Receipt, Receipted, RevealedSecret},
};

/// How to rotate.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateKey)]
pub(crate) struct Request {
    /// How long the old secret goes on working, in seconds; that of the workspace's policy unless given. 0 ends it now.
    #[schema(maximum = 7_776_000)]
    overlap_seconds: Option<u32>,
}

/// A key with a new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedKey {
    /// The key as it is now.
    key: Key,
    /// The new secret. Shown once; it can not be retrieved again.
    secret: RevealedSecret,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! {
    PermissionEscalation, KeyAlreadyRevoked, KeyNotActive, RotationInProgress, AlreadyApplied, IdempotencyMismatch,
}

/// Rotate a key
///
/// Needs `keys:write`. Issues a second secret; the old one works until the overlap ends. Id, limits, counters and
/// history of the key stay.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/rotate", operation_id = "rotate_key", tag = "Keys",
    params(KeyPath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Option<Request>, example = json!({"overlap_seconds": 172_800})),
    responses((status = 200, description = "The key and, once, its new secret.", body = RotatedKey), Accepted<RotatedKey>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: OptionalJson<Request>,
) -> Result<Receipted<RotatedKey>, ApiError> {
    let before = scope.key(&state).await?;
    let (secret, kept) = issue(&state, kind_of(before.environment), scope.now());
    let rotate = KeyChange::Rotate { secret: kept, overlap_seconds: body.value.overlap_seconds };
    let changed = change(&state, &scope.into(), rotate, &body.raw).await?;
    let (key, secret) = (changed.key, RevealedSecret(secret));
    Ok(Receipted::new(changed.receipt, |receipt| RotatedKey { key, secret, receipt }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, Who, holder};

    const KEYS: &str = "/v1/workspaces/acme/keys";

    async fn secret_and_path(api: &Api) -> (Who, String) {
        let body = json!({"name": "web", "environment": "production"});
        let created = api.post(&api.operator, KEYS, &body).await.json();
        (holder(&created["secret"]), format!("{KEYS}/{}", created["key"]["id"].as_str().unwrap()))
    }

    #[tokio::test]
    async fn both_secrets_work_until_the_overlap_ends() {
        let api = Api::start().await;
        let (old, path) = secret_and_path(&api).await;
        api.clock.advance_seconds(60);
        let answer =
            api.post(&api.operator, &format!("{path}/rotate"), &json!({"overlap_seconds": 10})).await;
        let new = holder(&answer.json()["secret"]);
        insta::assert_json_snapshot!(answer.json()["key"]["secrets"], @r#"
        [
          {
            "created_at": "2026-11-21T08:00:00.000Z",
            "expires_at": "2026-11-21T08:01:10.000Z",
            "hint": "sk_live_GMxyd0Ffjvxd…VPP3",
            "id": "sec_01m7yhx300cdaa8h1fmh2kgxkp",
            "last_used_at": null
          },
          {
            "created_at": "2026-11-21T08:01:00.000Z",
            "expires_at": null,
            "hint": "sk_live_28tkJhs7snrg…eK3l",
            "id": "sec_01m7yhyxk09ce34e9efx6pmgy3",
            "last_used_at": null
          }
        ]
        "#);
        assert_eq!((api.verdict(&old).await, api.verdict(&new).await), ("valid".into(), "valid".into()));
        api.clock.advance_ms(9_999);
        assert_eq!(api.verdict(&old).await, "valid");
        api.clock.advance_ms(1);
        assert_eq!(
            (api.verdict(&old).await, api.verdict(&new).await),
            ("revoked_key".into(), "valid".into())
        );
        assert_eq!(api.get(&api.operator, &path).await.json()["secrets"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_policy_says_how_long_unless_the_caller_does() {
        let api = Api::start().await;
        let (_, path) = secret_and_path(&api).await;
        let answer = api.call(http::Method::POST, &api.operator, &format!("{path}/rotate"), None).await;
        assert_eq!(answer.json()["key"]["secrets"][0]["expires_at"], "2026-11-23T08:00:00.000Z");
        let again = api.post(&api.operator, &format!("{path}/rotate"), &json!({})).await;
        assert_eq!(again.outcome(), "409 rotation_in_progress");
    }

    #[tokio::test]
    async fn without_overlap_the_old_secret_ends_at_once() {
        let api = Api::start().await;
        let (old, path) = secret_and_path(&api).await;
        let answer = api.post(&api.operator, &format!("{path}/rotate"), &json!({"overlap_seconds": 0})).await;
        assert_eq!((answer.outcome(), api.verdict(&old).await), ("200".into(), "revoked_key".into()));
        assert_eq!(answer.json()["effective"]["nodes"], 1);
    }

    #[tokio::test]
    async fn the_overlap_has_limits() {
        let api = Api::start().await;
        let (_, path) = secret_and_path(&api).await;
        let rotate = format!("{path}/rotate");
        for body in [
            json!({"overlap_seconds": 7_776_001}),
            json!({"overlap_seconds": -1}),
            json!({"overlap_seconds": "1"}),
        ] {
            assert_eq!(
                api.post(&api.operator, &rotate, &body).await.outcome(),
                "400 invalid_field",
                "{body}"
            );
        }
        let longest = json!({"overlap_seconds": 7_776_000});
        assert_eq!(api.post(&api.operator, &rotate, &longest).await.outcome(), "200");
    }

    #[tokio::test]
    async fn a_repeat_does_not_rotate_again() {
        let api = Api::start().await;
        let (_, path) = secret_and_path(&api).await;
        let rotate = format!("{path}/rotate");
        let first = api.post_once(&api.operator, &rotate, "r1", &json!({"overlap_seconds": 5})).await.json();
        let second = api.post_once(&api.operator, &rotate, "r1", &json!({"overlap_seconds": 5})).await;
        assert_eq!(second.outcome(), "409 already_applied");
        assert_eq!(second.json()["hint"], first["key"]["secrets"][1]["hint"]);
        let other = api.post_once(&api.operator, &rotate, "r1", &json!({"overlap_seconds": 6})).await;
        assert_eq!(other.outcome(), "422 idempotency_mismatch");
    }

    #[tokio::test]
    async fn nobody_takes_over_a_stronger_key() {
        let api = Api::start().await;
        let (_, id) = api.key_with(&["audit:read"]).await;
        let (weak, _) = api.key_with(&["keys:write"]).await;
        for action in ["rotate", "compromise"] {
            let answer = api.post(&weak, &format!("{KEYS}/{id}/{action}"), &json!({})).await;
            assert_eq!(answer.outcome(), "403 permission_escalation", "{action}");
        }
    }

    #[tokio::test]
    async fn ended_keys_are_not_rotated() {
        let api = Api::start().await;
        let body = json!({"name": "web", "environment": "ci", "expires_at": "2026-11-21T08:00:05Z"});
        let created = api.post(&api.operator, KEYS, &body).await.json();
        let path = format!("{KEYS}/{}", created["key"]["id"].as_str().unwrap());
        api.clock.advance_seconds(5);
        assert_eq!(
            api.post(&api.operator, &format!("{path}/rotate"), &json!({})).await.outcome(),
            "409 key_not_active"
        );
        api.post(&api.operator, &format!("{path}/revoke"), &json!({})).await;
        assert_eq!(
            api.post(&api.operator, &format!("{path}/rotate"), &json!({})).await.outcome(),
            "409 key_already_revoked"
        );
    }
}
