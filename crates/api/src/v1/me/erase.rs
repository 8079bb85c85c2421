//! `DELETE /v1/me`

use axum::extract::State;

use crate::{
    actor::Caller,
    edge::StrictQuery,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    v1::users::{EraseRequest, ErasedUser, rights},
    wire::Receipted,
};

problems! { LastOwner, ReauthenticationRequired }

/// Erase me
///
/// Ends the memberships of the person who is signed in, so that no key of theirs is accepted when the answer is there, their
/// sessions, deletes the prompts that are theirs alone unless `prompts=keep`, and destroys the key that everything personal
/// of them is sealed under. There is no way back: export first
/// (`GET /v1/me/export`). The last Owner of a workspace hands it over before (`transfer-ownership`), or deletes it.
#[utoipa::path(
    delete, path = "/v1/me", operation_id = "erase_me", tag = "Privacy",
    params(EraseRequest),
    responses((status = 200, description = "What was ended, and the receipt.", body = ErasedUser), Accepted<ErasedUser>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    StrictQuery(request): StrictQuery<EraseRequest>,
) -> Result<Receipted<ErasedUser>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    caller.require_fresh()?;
    rights::erase(&state, &caller.origin, permit, signed_in.session.user, request.prompts).await
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn exported_opted_out_and_erased_by_themselves() {
        let api = Api::start().await;
        let person = api.person("admin").await;
        let me = api.get(&person, "/v1/me").await.json();
        assert_eq!(
            (&me["memberships"][0]["workspace"], &me["opted_out_since"]),
            (&json!("acme"), &json!(null))
        );
        let out = api.call(Method::PUT, &person, "/v1/me/collection", Some(&json!({"collect": false}))).await;
        assert_eq!(out.json()["collect"], json!(false));
        let terms = "/v1/me/consents/terms";
        let given = api.call(Method::PUT, &person, terms, Some(&json!({"version": "1"}))).await.json();
        assert_eq!(given["data"][0]["name"], "terms");
        assert_eq!(api.call(Method::DELETE, &person, terms, None).await.outcome(), "200");
        let consents = api.get(&person, "/v1/me/consents").await.json();
        assert!(consents["data"][0]["withdrawn_at"].is_string());
        let told = api.get(&person, "/v1/me/export").await.json();
        assert_eq!(told["profile"]["id"], me["id"]);
        assert!(told["collection"]["opted_out_since"].is_string());
        let erased = api.call(Method::DELETE, &person, "/v1/me", None).await.json();
        assert_eq!((&erased["memberships_ended"], &erased["effective"]["nodes"]), (&json!(1), &json!(1)));
        assert_eq!(api.get(&person, "/v1/me").await.outcome(), "401 invalid_session");
        let path = format!("/v1/users/{}/export", me["id"].as_str().unwrap());
        assert_eq!(api.get(&api.operator, &path).await.outcome(), "404 not_found");
        let trail = api.get(&api.operator, "/v1/audit?limit=5").await.json();
        assert_eq!(trail["data"][0]["action"], "user.erased");
    }

    #[tokio::test]
    async fn the_last_owner_hands_over_first_and_keys_have_no_account() {
        let api = Api::start().await;
        let workspace = json!({"slug": "alone"});
        assert_eq!(api.post(&api.operator, "/v1/workspaces", &workspace).await.status.as_u16(), 201);
        let owner = api.person_in("alone", "owner").await;
        let refused = api.call(Method::DELETE, &owner, "/v1/me", None).await;
        assert_eq!(refused.outcome(), "409 last_owner");
        assert!(refused.json()["detail"].as_str().unwrap().contains("alone"), "{}", refused.text);
        assert_eq!(api.get(&owner, "/v1/me").await.outcome(), "200", "nothing was changed");
        let second = api.person_in("alone", "owner").await;
        assert_eq!(api.call(Method::DELETE, &owner, "/v1/me", None).await.outcome(), "200");
        assert_eq!(api.get(&second, "/v1/me").await.outcome(), "200");
        for nobody in [&api.operator, &api.owner_key().await] {
            assert_eq!(api.get(nobody, "/v1/me").await.outcome(), "403 insufficient_permissions");
        }
    }
}
