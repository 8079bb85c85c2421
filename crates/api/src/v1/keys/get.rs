//! `GET /v1/workspaces/{slug}/keys/{id}`

use axum::{Json, extract::State};

use crate::{
    actor::{ReadKeys, Scope},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{Key, KeyPath, KeyTexts, LastUses},
};

problems! {}

/// Get a key
///
/// Needs `keys:read`. The secret is never shown again.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/keys/{id}", operation_id = "get_key", tag = "Keys",
    params(KeyPath),
    responses((status = 200, description = "The key.", body = Key), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadKeys>,
) -> Result<Json<Key>, ApiError> {
    let key = scope.key(&state).await?;
    let last_uses = LastUses::of(&state, std::slice::from_ref(&key)).await?;
    let texts =
        KeyTexts { state: &state, workspace: &scope.workspace, last_uses: &last_uses, now: scope.now() };
    Ok(Json(texts.show(key)))
}

#[cfg(test)]
mod tests {
    use crate::harness::Api;

    #[tokio::test]
    async fn other_ids_and_other_workspaces_look_alike() {
        let api = Api::start().await;
        let (_, id) = api.key_with(&[]).await;
        let owner = api.owner_key().await;
        assert_eq!(api.get(&owner, &format!("/v1/workspaces/acme/keys/{id}")).await.outcome(), "200");
        let mut bodies = Vec::new();
        for path in [
            "/v1/workspaces/acme/keys/key_01m7yhx3001y00p7tpcjvhkr3x",
            "/v1/workspaces/acme/keys/nonsense",
            "/v1/workspaces/none/keys/key_01m7yhx3001y00p7tpcjvhkr3j",
            "/v1/workspaces/NONE/keys/x",
        ] {
            let answer = api.get(&owner, path).await;
            assert_eq!(answer.outcome(), "404 not_found", "{path}");
            let mut body = answer.json();
            body["request_id"].take();
            bodies.push(body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    }

    #[tokio::test]
    async fn status_and_due_dates_follow_the_clock_exactly() {
        let api = Api::start().await;
        let body = serde_json::json!({"name": "web", "environment": "production", "expires_at": "2026-11-21T09:00:00Z"});
        let key = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await.json();
        let path = format!("/v1/workspaces/acme/keys/{}", key["key"]["id"].as_str().unwrap());
        api.clock.advance_ms(3_599_999);
        assert_eq!(api.get(&api.operator, &path).await.json()["status"], "active");
        api.clock.advance_ms(1);
        assert_eq!(api.get(&api.operator, &path).await.json()["status"], "expired");
        assert_eq!(api.verdict(&crate::harness::holder(&key["secret"])).await, "expired_key");
    }
}
