//! Verification over HTTP: every code by its cause, limits, rotation, what a caller may learn.

use http::{HeaderMap, Method, StatusCode, header};
use keywright_engine::LeaseEnd;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, Who, holder};

/// A created key.
struct Made {
    id: String,
    secret: String,
    who: Who,
}

async fn make(api: &Api, fields: Value) -> Made {
    let mut body = json!({"name": "production-web-app", "environment": "production"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let answer = answer.json();
    let secret = answer["secret"].as_str().unwrap().to_owned();
    Made { id: answer["key"]["id"].as_str().unwrap().to_owned(), who: holder(&answer["secret"]), secret }
}

async fn act(api: &Api, key: &Made, action: &str, body: Value) -> Answer {
    let path = format!("/v1/workspaces/acme/keys/{}/{action}", key.id);
    let answer = api.post(&api.operator, &path, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer
}

async fn verify(api: &Api, key: &str, fields: Value) -> Value {
    let mut body = json!({"key": key});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = api.post(&api.operator, "/v1/keys/verify", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn code(api: &Api, key: &str, fields: Value) -> String {
    let verdict = verify(api, key, fields).await;
    assert_eq!(verdict["valid"], json!(verdict["code"] == "valid"));
    verdict["code"].as_str().unwrap().to_owned()
}

async fn check(api: &Api, who: &Who, query: &str) -> Answer {
    api.get(who, &format!("/v1/check{query}")).await
}

#[tokio::test]
async fn a_good_key_is_told_about() {
    let api = Api::start().await;
    let key = make(
        &api,
        json!({"external_id": "cust_42", "metadata": {"team": "web"}, "permissions": ["prompts:read"]}),
    )
    .await;
    let verdict = verify(&api, &key.secret, json!({"permissions": ["prompts:read"]})).await;
    assert_eq!(verdict["key_id"], key.id);
    let expected = json!({"valid": true, "code": "valid", "workspace": "acme", "environment": "production", "mode": "live",
        "permissions": ["prompts:read"], "external_id": "cust_42", "metadata": {"team": "web"}});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&verdict[field], value, "{field}");
    }
    assert_eq!(verdict["principal"]["type"], "operator");
    assert!(verdict["request_id"].as_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn each_code_by_its_cause() {
    let api = Api::start().await;
    let key = make(&api, json!({"permissions": ["prompts:read"]})).await;
    assert_eq!(code(&api, &key.secret, json!({})).await, "valid");
    assert_eq!(
        code(&api, &key.secret, json!({"permissions": ["prompts:write"]})).await,
        "insufficient_permissions"
    );
    assert_eq!(code(&api, &key.secret, json!({"mode": "test"})).await, "wrong_environment");
    assert_eq!(code(&api, &key.secret, json!({"workspace": "other"})).await, "wrong_workspace");
    assert_eq!(code(&api, &format!("\"{}\"", key.secret), json!({})).await, "malformed_key");
    assert_eq!(code(&api, &key.secret[..49], json!({})).await, "malformed_key");
    act(&api, &key, "disable", json!({})).await;
    assert_eq!(code(&api, &key.secret, json!({})).await, "disabled_key");
    act(&api, &key, "enable", json!({})).await;
    assert_eq!(code(&api, &key.secret, json!({})).await, "valid");
    let receipt = act(&api, &key, "revoke", json!({"reason": "leaked"})).await.json();
    assert_eq!(receipt["effective"]["nodes"], 1);
    assert_eq!(code(&api, &key.secret, json!({})).await, "revoked_key");
    let path = format!("/v1/workspaces/acme/keys/{}", key.id);
    assert_eq!(api.call(Method::DELETE, &api.operator, &path, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(code(&api, &key.secret, json!({})).await, "invalid_key");
}

#[tokio::test]
async fn expiry_is_exact() {
    let api = Api::start().await;
    let key = make(&api, json!({"expires_at": "2026-11-21T09:00:00Z"})).await;
    api.clock.advance_ms(3_599_999);
    assert_eq!(code(&api, &key.secret, json!({})).await, "valid");
    api.clock.advance_ms(1);
    assert_eq!(code(&api, &key.secret, json!({})).await, "expired_key");
}

#[tokio::test]
async fn a_rotation_overlaps_exactly_and_keeps_limits_and_counters() {
    let api = Api::start().await;
    let limits = json!([{"name": "hour", "limit": 10, "window_seconds": 36000}]);
    let key = make(&api, json!({"limits": limits})).await;
    assert_eq!(verify(&api, &key.secret, json!({"cost": 3})).await["limits"][0]["remaining"], 7);
    let rotated = act(&api, &key, "rotate", json!({"overlap_seconds": 60})).await.json();
    let new = rotated["secret"].as_str().unwrap();
    assert_eq!(rotated["key"]["id"], key.id);
    assert_eq!(verify(&api, new, json!({"cost": 2})).await["limits"][0]["remaining"], 5);
    assert_eq!(verify(&api, &key.secret, json!({"cost": 1})).await["limits"][0]["remaining"], 4);
    api.clock.advance_ms(59_999);
    assert_eq!(code(&api, &key.secret, json!({"cost": 0})).await, "valid");
    api.clock.advance_ms(1);
    assert_eq!(code(&api, &key.secret, json!({"cost": 0})).await, "revoked_key");
    assert_eq!(code(&api, new, json!({"cost": 0})).await, "valid");
}

#[tokio::test]
async fn limits_refuse_with_the_time_to_wait_and_refusals_cost_nothing() {
    let api = Api::start().await;
    let limits = json!([{"name": "minute", "limit": 2, "window_seconds": 60, "algorithm": "smooth"},
        {"name": "day", "limit": 3, "window_seconds": 86400}]);
    let key = make(&api, json!({"limits": limits})).await;
    assert_eq!(code(&api, &key.secret, json!({"cost": 2})).await, "valid");
    let refused = verify(&api, &key.secret, json!({})).await;
    assert_eq!((&refused["code"], &refused["retry_after_seconds"]), (&json!("rate_limited"), &json!(30)));
    for _ in 0..5 {
        assert_eq!(code(&api, &key.secret, json!({})).await, "rate_limited");
    }
    api.clock.advance_ms(60_000);
    assert_eq!(code(&api, &key.secret, json!({"cost": 1})).await, "valid");
    assert_eq!(code(&api, &key.secret, json!({"cost": 1})).await, "quota_exceeded");
}

#[tokio::test]
async fn networks_are_judged_by_the_client_that_is_named() {
    let api = Api::start().await;
    let key = make(&api, json!({"allowed_ips": ["203.0.113.0/24", "2001:db8::/32"]})).await;
    for (client, expected) in
        [("203.0.113.7", "valid"), ("2001:db8::5", "valid"), ("198.51.100.1", "ip_not_allowed")]
    {
        assert_eq!(code(&api, &key.secret, json!({"client_ip": client})).await, expected, "{client}");
    }
    assert_eq!(code(&api, &key.secret, json!({})).await, "ip_not_allowed");
}

#[tokio::test]
async fn a_suspended_workspace_refuses() {
    let api = Api::start().await;
    let key = make(&api, json!({})).await;
    let suspend = |suspended: bool| json!({"suspended": suspended});
    assert_eq!(api.patch(&api.operator, "/v1/workspaces/acme", &suspend(true)).await.status, StatusCode::OK);
    assert_eq!(code(&api, &key.secret, json!({})).await, "workspace_suspended");
    assert_eq!(api.patch(&api.operator, "/v1/workspaces/acme", &suspend(false)).await.status, StatusCode::OK);
    assert_eq!(code(&api, &key.secret, json!({})).await, "valid");
}

#[tokio::test]
async fn explain_lists_every_check_and_the_one_that_decided() {
    let api = Api::start().await;
    let key = make(&api, json!({"permissions": ["prompts:read"]})).await;
    let asked = json!({"permissions": ["prompts:write"], "explain": true, "mode": "test"});
    let verdict = verify(&api, &key.secret, asked).await;
    let checks = verdict["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "format",
            "secret",
            "revocation",
            "disabled",
            "expiry",
            "rotation",
            "workspace_suspended",
            "mode",
            "workspace",
            "networks",
            "permissions",
            "limits"
        ]
    );
    let decided: Vec<&Value> = checks.iter().filter(|check| check["decided"] == true).collect();
    assert_eq!(decided.len(), 1);
    assert_eq!((&decided[0]["check"], &decided[0]["code"]), (&json!("mode"), &json!("wrong_environment")));
    let permissions = checks.iter().find(|check| check["check"] == "permissions").unwrap();
    assert_eq!((&permissions["outcome"], &permissions["decided"]), (&json!("refused"), &json!(false)));
}

#[tokio::test]
async fn a_workspace_key_learns_nothing_about_other_workspaces() {
    let api = Api::start().await;
    let body = json!({"slug": "other", "name": "Other"});
    assert_eq!(api.post(&api.operator, "/v1/workspaces", &body).await.status, StatusCode::CREATED);
    let body = json!({"name": "backend", "environment": "production", "permissions": ["keys:verify"]});
    let made = api.post(&api.operator, "/v1/workspaces/other/keys", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let stranger = holder(&made.json()["secret"]);
    let key = make(&api, json!({})).await;
    for workspace in [json!({"key": key.secret}), json!({"key": key.secret, "workspace": "acme"})] {
        let verdict = api.post(&stranger, "/v1/keys/verify", &workspace).await.json();
        assert_eq!(verdict["code"], "wrong_workspace");
        for field in ["key_id", "workspace", "metadata", "permissions", "external_id"] {
            assert_eq!(verdict[field], Value::Null, "{field}");
        }
    }
}

#[tokio::test]
async fn bad_questions_are_refused_with_a_code() {
    let api = Api::start().await;
    let key = make(&api, json!({})).await;
    let with = |fields: Value| {
        let mut body = json!({"key": key.secret});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let permissions = |count: usize| vec!["prompts:read"; count];
    for (body, expected) in [
        (json!({}), "400 missing_field"),
        (with(json!({"extra": 1})), "400 unknown_field"),
        (with(json!({"cost": 1_000_001})), "400 invalid_field"),
        (with(json!({"cost": -1})), "400 invalid_field"),
        (with(json!({"mode": "prod"})), "400 invalid_field"),
        (with(json!({"client_ip": "here"})), "400 invalid_field"),
        (with(json!({"permissions": ["no:such"]})), "400 unknown_permission"),
        (with(json!({"permissions": permissions(33)})), "400 invalid_field"),
        (with(json!({"route": "r".repeat(129)})), "400 invalid_field"),
        (with(json!({"cost": 1_000_000})), "200"),
        (with(json!({"permissions": permissions(32), "cost": 0})), "200"),
        (with(json!({"route": "r".repeat(128), "cost": 0})), "200"),
        (json!({"key": ""}), "200"),
        (json!({"key": "k".repeat(70_000)}), "413 body_too_large"),
    ] {
        let answer = api.post(&api.operator, "/v1/keys/verify", &body).await;
        let shown = body.to_string().chars().take(60).collect::<String>();
        assert_eq!(answer.outcome(), expected, "{shown}: {}", answer.text);
    }
    assert_eq!(
        api.post(&Who::Anonymous, "/v1/keys/verify", &with(json!({}))).await.outcome(),
        "401 missing_credentials"
    );
    let lacking = api.post(&key.who, "/v1/keys/verify", &with(json!({}))).await;
    assert_eq!(lacking.outcome(), "403 insufficient_permissions");
    assert_eq!(lacking.json()["missing_permissions"], json!(["keys:verify"]));
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_check_route_answers_without_a_body() {
    let api = Api::start().await;
    let key = make(&api, json!({"limits": [{"name": "minute", "limit": 5, "window_seconds": 60}]})).await;
    let good = check(&api, &key.who, "?permissions=prompts:read,prompts:list&workspace=acme&mode=live").await;
    assert_eq!((good.status, good.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(text(&good.headers, "x-keywright-key-id"), key.id);
    assert_eq!(text(&good.headers, "x-keywright-workspace"), "acme");
    assert_eq!(text(&good.headers, "x-ratelimit-limit"), "5");
    assert_eq!(text(&good.headers, "x-ratelimit-remaining"), "4");
    assert_eq!(text(&good.headers, "ratelimit-policy"), "\"minute\";q=5;w=60");
    for (who, query, expected) in [
        (&Who::Anonymous, "", "401 missing_credentials"),
        (&key.who, "?permissions=prompts:write", "403 insufficient_permissions"),
        (&key.who, "?permissions=no:such", "400 unknown_permission"),
        (&key.who, "?mode=test", "401 wrong_environment"),
        (&key.who, "?workspace=other", "401 wrong_workspace"),
        (&key.who, "?unknown=1", "400 invalid_query"),
        (&key.who, "?cost=1000001", "400 invalid_query"),
        (&key.who, "?cost=5", "429 rate_limited"),
    ] {
        let answer = check(&api, who, query).await;
        assert_eq!(answer.outcome(), expected, "{query}");
    }
    let limited = check(&api, &key.who, "?cost=5").await;
    assert!(text(&limited.headers, "retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(text(&limited.headers, "x-ratelimit-remaining"), "4");
}

#[tokio::test]
async fn a_challenge_tells_what_is_wrong() {
    let api = Api::start().await;
    let anonymous = check(&api, &Who::Anonymous, "").await;
    assert_eq!(text(&anonymous.headers, "www-authenticate"), "Bearer realm=\"keywright\"");
    assert_eq!(anonymous.json()["error"], "Unauthorized");
    let unknown = check(&api, &Who::Holder("nonsense".to_owned()), "").await;
    assert!(text(&unknown.headers, "www-authenticate").contains("error=\"invalid_token\""));
    assert!(unknown.json()["error"].as_str().unwrap().starts_with("Invalid API key"));
    let key = make(&api, json!({})).await;
    let lacking = check(&api, &key.who, "?permissions=keys:write").await;
    assert!(text(&lacking.headers, "www-authenticate").contains("error=\"insufficient_scope\""));
    assert_eq!(lacking.json()["missing_permissions"], json!(["keys:write"]));
}

#[tokio::test]
async fn credentials_come_in_two_headers_but_not_in_two_values() {
    let api = Api::start().await;
    let key = make(&api, json!({})).await;
    let send = async |headers: &[(&str, &str)], query: &str| {
        let mut request = Api::request(
            Method::GET,
            &Who::Anonymous,
            &format!("/v1/check{query}"),
            axum::body::Body::empty(),
        );
        for (name, value) in headers {
            request
                .headers_mut()
                .append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        api.send(request).await.outcome()
    };
    let bearer = format!("Bearer {}", key.secret);
    assert_eq!(send(&[("x-api-key", &key.secret)], "").await, "204");
    assert_eq!(send(&[("x-api-key", &key.secret), ("authorization", &bearer)], "").await, "204");
    assert_eq!(
        send(&[("x-api-key", "other"), ("authorization", &bearer)], "").await,
        "400 conflicting_credentials"
    );
    assert_eq!(
        send(&[("authorization", &bearer), ("authorization", &bearer)], "").await,
        "400 duplicate_header"
    );
    assert_eq!(send(&[("authorization", &key.secret)], "").await, "401 missing_bearer_prefix");
    assert_eq!(send(&[], &format!("?api_key={}", key.secret)).await, "400 credential_in_url");
    assert_eq!(
        send(&[("authorization", &bearer)], &format!("?api_key={}", key.secret)).await,
        "400 credential_in_url"
    );
}

#[tokio::test]
async fn introspection_follows_rfc_7662() {
    let api = Api::start().await;
    let key = make(&api, json!({"permissions": ["prompts:read", "prompts:list"]})).await;
    let ask = async |token: &str| {
        let form: &'static str = format!("token={token}&token_type_hint=access_token").leak();
        let answer = api.post_form(&api.operator, "/v1/introspect", form).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    };
    let active = ask(&key.secret).await;
    assert_eq!((&active["active"], &active["scope"]), (&json!(true), &json!("prompts:read prompts:list")));
    assert_eq!(active["client_id"], key.id);
    act(&api, &key, "revoke", json!({})).await;
    assert_eq!(ask(&key.secret).await, json!({"active": false}));
    assert_eq!(ask("nonsense").await, json!({"active": false}));
}

#[tokio::test]
async fn whoami_shows_a_key_to_itself() {
    let api = Api::start().await;
    let key = make(&api, json!({"purpose": "tests"})).await;
    let answer = api.get(&key.who, "/v1/whoami").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let answer = answer.json();
    assert_eq!((&answer["type"], &answer["key"]["id"]), (&json!("key"), &json!(key.id)));
    assert!(!answer.to_string().contains(&key.secret));
    assert_eq!(api.get(&api.operator, "/v1/whoami").await.json()["type"], "operator");
    act(&api, &key, "revoke", json!({})).await;
    assert_eq!(api.get(&key.who, "/v1/whoami").await.outcome(), "401 revoked_key");
}

#[tokio::test]
async fn guessing_is_slowed_down_per_address() {
    let api = Api::start().await;
    let good = make(&api, json!({})).await;
    let gone = make(&api, json!({})).await;
    let path = format!("/v1/workspaces/acme/keys/{}", gone.id);
    assert_eq!(api.call(Method::DELETE, &api.operator, &path, None).await.status, StatusCode::NO_CONTENT);
    for _ in 0..300 {
        assert_eq!(check(&api, &gone.who, "").await.outcome(), "401 invalid_key");
    }
    let slowed = check(&api, &gone.who, "").await;
    assert_eq!(slowed.outcome(), "429 too_many_failed_attempts");
    assert!(slowed.headers.contains_key(header::RETRY_AFTER));
    // Nobody is locked out by the failures of others behind the same address.
    assert_eq!(check(&api, &good.who, "").await.outcome(), "204");
    api.clock.advance_ms(120_000);
    assert_eq!(check(&api, &gone.who, "").await.outcome(), "401 invalid_key");
}

#[tokio::test]
async fn a_node_that_may_not_answer_says_so_and_nothing_about_the_key() {
    let api = Api::start().await;
    let key = make(&api, json!({})).await;
    let engine = api.state.plane.engine();
    engine.drop_leases();
    api.cluster.lose_the_store();
    assert_eq!(check(&api, &key.who, "").await.outcome(), "503 stale_verifier");
    let asked = api.post(&api.operator, "/v1/keys/verify", &json!({"key": key.secret})).await;
    assert_eq!(asked.outcome(), "503 stale_verifier");
    engine.set_leases([LeaseEnd::NEVER; 4]);
    assert_eq!(check(&api, &key.who, "").await.outcome(), "204");
}

#[tokio::test]
async fn the_check_route_does_not_send_a_request_back() {
    let api = Api::start().await;
    let answer = api.call(Method::TRACE, &api.operator, "/v1/check", None).await;
    assert_eq!(answer.outcome(), "405 method_not_allowed");
    assert!(answer.headers.contains_key("allow"));
}
