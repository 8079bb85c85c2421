//! Credits over HTTP, and what verifications spend of them.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Who};

const CREDITS: &str = "/v1/workspaces/acme/credits";

/// A key whose `external_id` is `cust_42`.
async fn key_of_customer(api: &Api) -> String {
    let body = json!({"name": "app", "environment": "production", "external_id": "cust_42"});
    let created = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await.json();
    created["secret"].as_str().unwrap().to_owned()
}

async fn grant(api: &Api, amount: u64) -> Value {
    let body = json!({"external_id": "cust_42", "amount": amount});
    api.post(&api.operator, &format!("{CREDITS}/grant"), &body).await.json()
}

async fn verify(api: &Api, key: &str, credits: u32) -> Value {
    let body = json!({"key": key, "credits": credits});
    api.post(&api.operator, "/v1/keys/verify", &body).await.json()
}

/// Everything that was spent is told to the store; then: balance, held, reserved, spent.
async fn settled(api: &Api) -> [u64; 4] {
    api.state.credits.finish(api.state.plane.engine()).await.unwrap();
    places(api).await
}

async fn places(api: &Api) -> [u64; 4] {
    let listed = api.get(&api.operator, &format!("{CREDITS}?external_id=cust_42")).await.json();
    let account = &listed["data"][0];
    ["balance", "held", "reserved", "spent"].map(|place| account[place].as_u64().unwrap())
}

#[tokio::test]
async fn verifications_spend_until_nothing_is_left() {
    let api = Api::start().await;
    let key = key_of_customer(&api).await;
    let refused = verify(&api, &key, 1).await;
    assert_eq!(
        (&refused["code"], &refused["credits"]),
        (&json!("quota_exceeded"), &json!({"spent": 0, "remaining": 0})),
        "there is no account"
    );
    grant(&api, 12).await;
    for (credits, code, left) in [
        (5, "valid", 7),
        (8, "quota_exceeded", 7),
        (5, "valid", 2),
        (3, "quota_exceeded", 2),
        (2, "valid", 0),
    ] {
        let answer = verify(&api, &key, credits).await;
        let spent = if code == "valid" { credits } else { 0 };
        assert_eq!(answer["code"], code, "{answer}");
        assert_eq!(answer["credits"], json!({"spent": spent, "remaining": left}), "{answer}");
        api.clock.advance_seconds(1);
    }
    assert_eq!(verify(&api, &key, 0).await["valid"], true, "without credits nothing is asked of the balance");
    assert_eq!(settled(&api).await, [0, 0, 0, 12]);
}

#[tokio::test]
async fn a_refused_call_spends_nothing() {
    let api = Api::start().await;
    let body = json!({"name": "app", "environment": "production", "external_id": "cust_42",
        "limits": [{"name": "minute", "limit": 1, "window_seconds": 60}]});
    let created = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await.json();
    let key = created["secret"].as_str().unwrap();
    grant(&api, 10).await;
    assert_eq!(verify(&api, key, 3).await["credits"], json!({"spent": 3, "remaining": 7}));
    let limited = verify(&api, key, 3).await;
    assert_eq!((&limited["code"], &limited["credits"]["spent"]), (&json!("rate_limited"), &json!(0)));
    let missing = json!({"key": key, "credits": 3, "permissions": ["keys:write"]});
    let missing = api.post(&api.operator, "/v1/keys/verify", &missing).await.json();
    assert_eq!((&missing["code"], missing.get("credits")), (&json!("insufficient_permissions"), None));
    assert_eq!(settled(&api).await, [7, 0, 0, 3]);
    // And the other way round: what credits refuse costs no limit.
    api.clock.advance_seconds(121);
    assert_eq!(verify(&api, key, 8).await["code"], "quota_exceeded");
    assert_eq!(verify(&api, key, 7).await["code"], "valid");
}

#[tokio::test]
async fn a_keys_own_account_comes_first() {
    let api = Api::start().await;
    let (Who::Holder(other), id) = api.key_with(&[]).await else { panic!("a key has a secret") };
    let body = json!({"key_id": id, "amount": 5});
    assert_eq!(
        api.post(&api.operator, &format!("{CREDITS}/grant"), &body).await.json()["key_id"],
        id.as_str()
    );
    let patch = json!({"external_id": "cust_42"});
    api.call(Method::PATCH, &api.operator, &format!("/v1/workspaces/acme/keys/{id}"), Some(&patch)).await;
    grant(&api, 100).await;
    assert_eq!(verify(&api, &other, 2).await["credits"], json!({"spent": 2, "remaining": 3}));
    assert_eq!(verify(&api, &other, 4).await["code"], "quota_exceeded");
    assert_eq!(settled(&api).await, [100, 0, 0, 0]);
}

#[tokio::test]
async fn a_grant_is_made_once() {
    let api = Api::start().await;
    let body = json!({"external_id": "cust_42", "amount": 7, "reason": "Paid."});
    let path = format!("{CREDITS}/grant");
    let first = api.post_once(&api.operator, &path, "invoice-1", &body).await;
    assert_eq!((first.outcome(), &first.json()["granted"]), ("200".into(), &json!(7)));
    assert_eq!(
        api.post_once(&api.operator, &path, "invoice-1", &body).await.outcome(),
        "409 already_applied"
    );
    assert_eq!(places(&api).await, [7, 0, 0, 0]);
    for (body, expected) in [
        (json!({"external_id": "cust_42", "amount": 0}), "400 invalid_field"),
        (json!({"external_id": "cust_42", "amount": 1_000_000_000_000_001_u64}), "400 invalid_field"),
        (json!({"external_id": "cust_42", "key_id": "key_x", "amount": 1}), "400 invalid_field"),
        (json!({"amount": 1}), "400 invalid_field"),
        (json!({"key_id": "key_01m7yhx3001y00p7tpcjvhkr3x", "amount": 1}), "404 not_found"),
        (json!({"external_id": "x".repeat(129), "amount": 1}), "400 invalid_field"),
        (json!({"external_id": "cust_42"}), "400 missing_field"),
    ] {
        assert_eq!(api.post(&api.operator, &path, &body).await.outcome(), expected, "{body}");
    }
    let owner = api.owner_key().await;
    assert_eq!(api.post(&owner, &path, &body).await.outcome(), "403 insufficient_permissions");
}

#[tokio::test]
async fn reserve_then_commit_or_refund() {
    let api = Api::start().await;
    grant(&api, 20).await;
    let body = json!({"external_id": "cust_42", "amount": 15, "ttl_seconds": 60});
    let reserved = api.post(&api.operator, &format!("{CREDITS}/reserve"), &body).await;
    assert_eq!(reserved.outcome(), "201");
    let id = reserved.json()["reservation"]["id"].as_str().unwrap().to_owned();
    assert_eq!(places(&api).await, [5, 0, 15, 0]);
    let refused = api.post(&api.operator, &format!("{CREDITS}/reserve"), &body).await;
    assert_eq!(
        (refused.outcome(), &refused.json()["balance"]),
        ("409 insufficient_credits".into(), &json!(5))
    );
    let commit = format!("{CREDITS}/reservations/{id}/commit");
    for _ in 0..2 {
        let done = api.post(&api.operator, &commit, &json!({"amount": 12})).await.json();
        assert_eq!(
            (&done["reservation"]["status"], &done["reservation"]["spent"]),
            (&json!("committed"), &json!(12))
        );
        assert_eq!(places(&api).await, [8, 0, 0, 12]);
    }
    let refund = format!("{CREDITS}/reservations/{id}/refund");
    let refused = api.post(&api.operator, &refund, &json!({})).await;
    assert_eq!(
        (refused.outcome(), &refused.json()["reservation_status"]),
        ("409 reservation_ended".into(), &json!("committed"))
    );
    let unknown = format!("{CREDITS}/reservations/nonsense/refund");
    assert_eq!(api.post(&api.operator, &unknown, &json!({})).await.outcome(), "404 not_found");
    for ttl_seconds in [0, 86_401] {
        let body = json!({"external_id": "cust_42", "amount": 1, "ttl_seconds": ttl_seconds});
        let refused = api.post(&api.operator, &format!("{CREDITS}/reserve"), &body).await;
        assert_eq!(refused.outcome(), "400 invalid_field");
    }
}

#[tokio::test]
async fn a_refill_is_set_and_ended() {
    let api = Api::start().await;
    let path = format!("{CREDITS}/refill");
    let refill = |refill: Value| json!({"external_id": "cust_42", "refill": refill});
    let set = refill(json!({"amount": 10, "every_seconds": 60, "cap": 25}));
    let account = api.call(Method::PUT, &api.operator, &path, Some(&set)).await.json();
    assert_eq!(account["refill"]["due_at"], "2026-11-21T08:01:00.000Z");
    let too_often = refill(json!({"amount": 10, "every_seconds": 59, "cap": 25}));
    let refused = api.call(Method::PUT, &api.operator, &path, Some(&too_often)).await;
    assert_eq!(refused.outcome(), "400 invalid_field");
    let ended = api.call(Method::PUT, &api.operator, &path, Some(&refill(json!(null)))).await.json();
    assert_eq!(ended["refill"], json!(null));
}

#[tokio::test]
async fn credits_of_a_call_have_a_limit() {
    let api = Api::start().await;
    let key = key_of_customer(&api).await;
    grant(&api, 2_000_000).await;
    for (credits, expected) in [(1_000_000, "200"), (1_000_001, "400 invalid_field")] {
        let body = json!({"key": key, "credits": credits});
        assert_eq!(api.post(&api.operator, "/v1/keys/verify", &body).await.outcome(), expected);
    }
}

#[tokio::test]
async fn lists_are_paged() {
    let api = Api::start().await;
    for customer in ["a", "b", "c"] {
        let body = json!({"external_id": customer, "amount": 1});
        api.post(&api.operator, &format!("{CREDITS}/grant"), &body).await;
        api.clock.advance_seconds(1);
    }
    let first = api.get(&api.operator, &format!("{CREDITS}?limit=2")).await.json();
    let names = |page: &Value| {
        let all = page["data"].as_array().unwrap().iter();
        all.map(|account| account["external_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["a", "b"]);
    let cursor = first["cursor"].as_str().unwrap();
    let rest = api.get(&api.operator, &format!("{CREDITS}?limit=2&cursor={cursor}")).await.json();
    assert_eq!((names(&rest), &rest["has_more"]), (vec!["c".to_owned()], &json!(false)));
    assert_eq!(api.get(&api.operator, &format!("{CREDITS}?cursor=x")).await.outcome(), "400 invalid_cursor");
}
