//! The whole life of a key, as an owner's management key drives it.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Who, holder};

#[tokio::test]
async fn the_whole_life_of_a_key() {
    let api = Api::start().await;
    let owner = api.owner_key().await;
    let keys = "/v1/workspaces/acme/keys";
    let limits = json!([{"name": "minute", "limit": 3, "window_seconds": 60}]);
    let created =
        api.post(&owner, keys, &json!({"name": "web", "environment": "production", "limits": limits})).await;
    assert_eq!(created.shown()["secret"], "[secret]");
    let (first, path) = (
        holder(&created.json()["secret"]),
        format!("{keys}/{}", created.json()["key"]["id"].as_str().unwrap()),
    );
    let step = async |action: &str, body: Value| {
        let answer = api.post(&owner, &format!("{path}/{action}"), &body).await;
        assert_eq!(answer.outcome(), "200", "{action}: {}", answer.text);
        answer.json()
    };

    let second = holder(&step("rotate", json!({"overlap_seconds": 60})).await["secret"]);
    let spend = async |who: &Who| {
        let Who::Holder(secret) = who else { panic!("nobody") };
        let verdict = api.post(&owner, "/v1/keys/verify", &json!({"key": secret})).await.json();
        (verdict["code"].as_str().unwrap().to_owned(), verdict["key_id"].clone())
    };
    let id = created.json()["key"]["id"].clone();
    for who in [&first, &second, &first] {
        assert_eq!(spend(who).await, ("valid".into(), id.clone()), "one key, one counter, two secrets");
    }
    assert_eq!(spend(&second).await, ("rate_limited".into(), id));

    step("rotate/complete", json!({})).await;
    assert_eq!(
        (api.verdict(&first).await, api.verdict(&second).await),
        ("revoked_key".into(), "valid".into())
    );
    step("disable", json!({})).await;
    assert_eq!(api.verdict(&second).await, "disabled_key");
    step("enable", json!({})).await;
    assert_eq!(api.verdict(&second).await, "valid");
    let receipt = step("revoke", json!({"reason": "No longer needed."})).await;
    assert_eq!(receipt["effective"]["nodes"], 1);
    assert_eq!(api.verdict(&second).await, "revoked_key");
    assert_eq!(api.call(Method::DELETE, &owner, &path, None).await.outcome(), "204");
    let listed = api.get(&owner, &format!("{keys}?name=web")).await.json();
    assert_eq!(listed, json!({"data": [], "cursor": null, "has_more": false}));

    let trail = api
        .get(
            &owner,
            &format!("/v1/workspaces/acme/audit?target={}", created.json()["key"]["id"].as_str().unwrap()),
        )
        .await;
    let actions: Vec<Value> =
        trail.json()["data"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(
        actions,
        [
            "key.deleted",
            "key.revoked",
            "key.enabled",
            "key.disabled",
            "key.rotation_completed",
            "key.rotated",
            "key.created"
        ]
    );
}
