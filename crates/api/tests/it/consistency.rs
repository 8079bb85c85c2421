//! What a node may say that can not be sure to know the latest changes.

use http::{Method, StatusCode, header};
use keywright_engine::LeaseEnd;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, Asked, Who};

fn text(who: &Who) -> &str {
    let Who::Holder(secret) = who else { unreachable!("keys have secrets") };
    secret
}

async fn verify(api: &Api, key: &Who, more: Value) -> Answer {
    let mut body = json!({"key": text(key)});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api.cluster.asked();
    api.post(&api.operator, "/v1/keys/verify", &body).await
}

/// Leases of 30 s for the standard term, of 300 s for the long one.
fn lease_for(api: &Api, seconds: [u64; 4]) {
    let now_ns = keywright_domain::time::Clock::boot_ns(&*api.clock);
    let end =
        |seconds: u64| if seconds == 0 { LeaseEnd::NONE } else { LeaseEnd(now_ns + seconds * 1_000_000_000) };
    api.state.plane.engine().set_leases(seconds.map(end));
}

#[tokio::test]
async fn an_answer_tells_how_current_it_is() {
    let api = Api::start().await;
    let (key, _) = api.key_with(&[]).await;
    let alone = verify(&api, &key, json!({})).await.json();
    assert_eq!(alone["as_of_seq"], api.state.plane.engine().applied());
    assert_eq!(alone["lease_left_ms"], Value::Null);
    lease_for(&api, [0, 3, 30, 300]);
    api.clock.advance_ms(1_000);
    let leased = verify(&api, &key, json!({})).await.json();
    assert_eq!(leased["lease_left_ms"], 29_000);
    assert_eq!(api.cluster.asked(), [], "under a lease nobody is asked");
}

#[tokio::test]
async fn without_a_lease_the_store_is_asked_first() {
    let api = Api::start().await;
    let (key, _) = api.key_with(&["prompts:read"]).await;
    lease_for(&api, [0; 4]);
    let answer = verify(&api, &key, json!({})).await;
    assert_eq!((answer.outcome(), &answer.json()["code"]), ("200".into(), &json!("valid")));
    assert_eq!(answer.json()["lease_left_ms"], 0);
    // The caller's own credential, and the key.
    assert_eq!(api.cluster.asked(), [Asked::Fresh, Asked::Fresh]);
    for path in ["/v1/check", "/v1/whoami", "/v1/permissions"] {
        assert!(api.get(&key, path).await.status.is_success(), "{path}");
        assert_eq!(api.cluster.asked(), [Asked::Fresh], "{path}");
    }
    let form: &'static str = format!("token={}", text(&key)).leak();
    let introspected = api.post_form(&api.operator, "/v1/introspect", form).await;
    assert_eq!(introspected.json()["active"], true);
    assert_eq!(api.cluster.asked(), [Asked::Fresh, Asked::Fresh]);
}

#[tokio::test]
async fn without_lease_and_store_nothing_is_said_and_nothing_spent() {
    let api = Api::start().await;
    let (key, id) = api.key_with(&["prompts:read"]).await;
    let path = format!("/v1/workspaces/acme/keys/{id}");
    let limits = json!({"limits": [{"name": "minute", "limit": 5, "window_seconds": 60}]});
    api.patch(&api.operator, &path, &limits).await;
    lease_for(&api, [0; 4]);
    api.cluster.lose_the_store();
    for _ in 0..10 {
        let checked = api.get(&key, "/v1/check").await;
        assert_eq!(checked.outcome(), "503 stale_verifier");
        assert_eq!(checked.headers[header::RETRY_AFTER], "1");
        assert_eq!(verify(&api, &key, json!({})).await.outcome(), "503 stale_verifier");
    }
    for path in ["/v1/whoami", "/v1/permissions"] {
        assert_eq!(api.get(&key, path).await.outcome(), "503 stale_verifier", "{path}");
    }
    let introspected = api.post_form(&api.operator, "/v1/introspect", "token=x").await;
    assert_eq!(introspected.outcome(), "503 stale_verifier");
    let gone = api.call(Method::DELETE, &api.operator, &path, None).await;
    assert_eq!(gone.outcome(), "503 stale_verifier", "not even the operator is recognized");
    lease_for(&api, [300; 4]);
    let left = verify(&api, &key, json!({})).await.json();
    assert_eq!(left["limits"][0]["remaining"], 4, "only this call was spent");
}

#[tokio::test]
async fn each_workspace_is_answered_under_its_own_lease() {
    let api = Api::start().await;
    let mut keys = Vec::new();
    for (slug, seconds) in [("never", 0), ("short", 3), ("usual", 30), ("long", 300)] {
        let body = json!({"slug": slug, "policy": {"lease_seconds": seconds}});
        assert_eq!(api.post(&api.operator, "/v1/workspaces", &body).await.status, StatusCode::CREATED);
        let body = json!({"name": "web", "environment": "production"});
        let made = api.post(&api.operator, &format!("/v1/workspaces/{slug}/keys"), &body).await.json();
        keys.push(crate::harness::holder(&made["secret"]));
    }
    lease_for(&api, [0, 3, 30, 300]);
    api.cluster.lose_the_store();
    let mut answered = Vec::new();
    for advance_ms in [0, 2_999, 1, 26_999, 1, 269_999, 1] {
        api.clock.advance_ms(advance_ms);
        let mut codes = String::new();
        for key in &keys {
            codes.push_str(if api.get(key, "/v1/check").await.status == StatusCode::NO_CONTENT {
                "+"
            } else {
                "-"
            });
        }
        answered.push(codes);
    }
    assert_eq!(answered, ["-+++", "-+++", "--++", "--++", "---+", "---+", "----"]);
}

#[tokio::test]
async fn the_caller_may_ask_for_the_database() {
    let api = Api::start().await;
    let (key, _) = api.key_with(&[]).await;
    assert_eq!(verify(&api, &key, json!({"consistency": "memory"})).await.outcome(), "200");
    assert_eq!(api.cluster.asked(), []);
    let sure = verify(&api, &key, json!({"consistency": "database"})).await;
    assert_eq!((sure.outcome(), &sure.json()["valid"]), ("200".into(), &json!(true)));
    assert_eq!(api.cluster.asked(), [Asked::Fresh]);
    let nonsense = verify(&api, &key, json!({"consistency": "eventual"})).await;
    assert_eq!(nonsense.outcome(), "400 invalid_field");
    api.cluster.lose_the_store();
    let unsure = verify(&api, &key, json!({"consistency": "database"})).await;
    assert_eq!(unsure.outcome(), "503 stale_verifier", "however long the lease is");
}

#[tokio::test]
async fn the_caller_may_name_a_change_that_must_be_known() {
    let api = Api::start().await;
    let (key, id) = api.key_with(&[]).await;
    let path = format!("/v1/workspaces/acme/keys/{id}/disable");
    let sequence = api.post(&api.operator, &path, &json!({})).await.json()["sequence"].as_u64().unwrap();
    let known = verify(&api, &key, json!({"min_seq": sequence})).await;
    assert_eq!(
        (&known.json()["code"], &known.json()["as_of_seq"]),
        (&json!("disabled_key"), &json!(sequence))
    );
    assert_eq!(api.cluster.asked(), []);
    let unknown = verify(&api, &key, json!({"min_seq": sequence + 1})).await;
    assert_eq!(unknown.outcome(), "400 invalid_field", "the database knows of no such change either");
    assert_eq!(api.cluster.asked(), [Asked::Here(sequence + 1), Asked::Fresh]);
    for wrong in [json!(-1), json!("1"), json!(1.5)] {
        assert_eq!(verify(&api, &key, json!({"min_seq": wrong})).await.outcome(), "400 invalid_field");
    }
    api.cluster.lose_the_store();
    let unsure = verify(&api, &key, json!({"min_seq": sequence + 1})).await;
    assert_eq!(unsure.outcome(), "503 stale_verifier");
}

#[tokio::test]
async fn in_an_atomic_workspace_a_key_is_revoking_until_every_node_knows() {
    let api = Api::start().await;
    let atomic = json!({"policy": {"atomic_revocation": true}});
    assert_eq!(api.patch(&api.operator, "/v1/workspaces/acme", &atomic).await.status, StatusCode::OK);
    let (key, id) = api.key_with(&["prompts:read"]).await;
    lease_for(&api, [0, 300, 300, 300]);
    let path = format!("/v1/workspaces/acme/keys/{id}");
    let revoked = api.post(&api.operator, &format!("{path}/revoke"), &json!({})).await.json();
    let checked = api.get(&key, "/v1/check").await;
    assert_eq!(checked.outcome(), "409 revoking");
    assert_eq!(checked.headers[header::RETRY_AFTER], "1");
    let asked = verify(&api, &key, json!({})).await.json();
    assert_eq!(
        (&asked["valid"], &asked["code"], &asked["key_id"]),
        (&json!(false), &json!("revoking"), &json!(id))
    );
    assert_eq!(api.get(&key, "/v1/whoami").await.outcome(), "409 revoking");
    api.state.plane.engine().set_stable(revoked["sequence"].as_u64().unwrap());
    assert_eq!(api.get(&key, "/v1/check").await.outcome(), "401 revoked_key");
}
