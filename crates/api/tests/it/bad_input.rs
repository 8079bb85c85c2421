//! Input that is wrong in every way: always a 4xx with a code, never a 5xx, and nothing is changed.

use axum::body::Body;
use http::{HeaderValue, Method, header};
use keywright_api::{caps, openapi_document};
use serde_json::{Value, json};

use crate::harness::{Api, Who};

/// The operations with a JSON body, with the path filled in and the documented example.
async fn operations(api: &Api, id: &str) -> Vec<(Method, String, Value)> {
    let document = serde_json::to_value(openapi_document()).unwrap();
    api.published_prompt("qa-bot").await;
    let reservation = api.reservation().await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = &operation["requestBody"]["content"]["application/json"];
            if content.is_null() || path == "/v1/keys/verify" {
                continue;
            }
            let example = content["example"].clone();
            assert!(example.is_object(), "{method} {path} has no example of its body");
            let id = if path.contains("/reservations/") { &reservation } else { id };
            let path = path.replace("{slug}", "acme").replace("{id}", id).replace("{prompt}", "qa-bot");
            let path = path.replace("{version}", "v1").replace("{name}", "chat:send");
            operations.push((method.to_uppercase().parse().unwrap(), path, example));
        }
    }
    assert!(operations.len() > 30, "{}", operations.len());
    operations
}

/// How long its body may be.
fn longest(path: &str) -> usize {
    let takes_texts = path.ends_with("/prompts") || path.ends_with("/prompts/qa-bot");
    if takes_texts { caps::PROMPT_BODY_MAX_BYTES } else { caps::BODY_MAX_BYTES }
}

async fn state(api: &Api) -> String {
    let head = api.state.store.audit_head().await.unwrap();
    format!("{head:?}")
}

/// What only a key of a workspace may call.
const PROTECTED: [&str; 2] = ["/v1/redact", "/v1/prompts/get"];

/// Who may call it.
fn caller<'a>(api: &'a Api, key: &'a Who, path: &str) -> &'a Who {
    if PROTECTED.contains(&path) { key } else { &api.operator }
}

async fn send(
    api: &Api,
    who: &Who,
    (method, path): (&Method, &str),
    kind: &'static str,
    body: impl Into<Body>,
) -> String {
    let mut request = Api::request(method.clone(), who, path, body.into());
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    api.send(request).await.outcome()
}

#[tokio::test]
async fn bodies() {
    const JSON: &str = "application/json";
    let api = Api::start().await;
    let (key, id) = api.key_with(&["prompts:read"]).await;
    let operations = operations(&api, &id).await;
    let before = state(&api).await;
    for (method, path, example) in operations {
        let at = format!("{method} {path}");
        // Whoever calls without a credential may only do so often in a minute.
        api.clock.advance_seconds(60);
        let who = caller(&api, &key, &path);
        let send = async |kind, body: Vec<u8>| send(&api, who, (&method, &path), kind, body).await;
        assert_eq!(send(JSON, b"{".to_vec()).await, "400 invalid_json", "{at}");
        assert_eq!(send(JSON, b"{\"a\": \"\xff\"}".to_vec()).await, "400 invalid_utf8", "{at}");
        assert_eq!(send("text/plain", b"{}".to_vec()).await, "415 unsupported_media_type", "{at}");
        assert_eq!(send(JSON, vec![b' '; longest(&path) + 1]).await, "413 body_too_large", "{at}");
        assert_eq!(send(JSON, b"{\"no_such_field\": 1}".to_vec()).await, "400 unknown_field", "{at}");
        for body in ["[]", "null", "5", "\"x\"", "true"] {
            assert_eq!(send(JSON, body.into()).await, "400 invalid_field", "{at} {body}");
        }
        let deep = format!("{}{}", "{\"a\":".repeat(200), "}".repeat(200));
        let outcome = send(JSON, deep.into()).await;
        assert!(outcome.starts_with("400 "), "{at}: {outcome}");
        wrong_types(&api, who, (&method, &path), &example).await;
    }
    assert_eq!(state(&api).await, before, "nothing was changed");
}

/// Every field of the example, with a value of every other type.
async fn wrong_types(api: &Api, who: &Who, (method, path): (&Method, &str), example: &Value) {
    for (field, good) in example.as_object().unwrap() {
        for wrong in [
            json!(1.5),
            json!({"no": {"such": []}}),
            json!([[[]]]),
            json!("\u{0}"),
            json!(u64::MAX),
            json!(true),
        ] {
            let same_type = std::mem::discriminant(good) == std::mem::discriminant(&wrong);
            // Metadata takes any object, and a token is any text.
            if (same_type && !good.is_number() && field != "environment") || field == "token" {
                continue;
            }
            let mut body = example.clone();
            body[field] = wrong.clone();
            let outcome = send(api, who, (method, path), "application/json", body.to_string()).await;
            assert!(outcome.starts_with("400 "), "{method} {path} {field} {wrong}: {outcome}");
        }
    }
}

#[tokio::test]
async fn credentials() {
    let api = Api::start().await;
    let Who::Holder(operator) = &api.operator else { panic!("nobody") };
    let last = if operator.ends_with('0') { '1' } else { '0' };
    let mistyped = format!("{}{last}", &operator[..operator.len() - 1]);
    for (name, value, expected) in [
        ("authorization", format!("Bearer {operator}"), "200"),
        ("authorization", format!("bearer {operator}"), "200"),
        ("x-api-key", operator.clone(), "200"),
        ("authorization", operator.clone(), "401 missing_bearer_prefix"),
        ("authorization", format!("Bearer \"{operator}\""), "401 malformed_key"),
        ("authorization", format!("Bearer {mistyped}"), "401 malformed_key"),
        ("authorization", "Bearer ".to_owned(), "401 malformed_key"),
        ("authorization", "Basic eDp5".to_owned(), "401 missing_credentials"),
        ("x-api-key", "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH".to_owned(), "401 invalid_key"),
        ("x-api-key", "ok_é".to_owned(), "401 malformed_key"),
    ] {
        let mut request = Api::request(Method::GET, &Who::Anonymous, "/v1/permissions", Body::empty());
        request.headers_mut().insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let answer = api.send(request).await;
        assert_eq!(answer.outcome(), expected, "{name}");
        if expected != "200" {
            assert!(
                !answer.text.contains(operator.as_str()) && answer.headers.contains_key("www-authenticate")
            );
        }
    }
    let mut request = Api::request(Method::GET, &api.operator, "/v1/permissions", Body::empty());
    request.headers_mut().insert("x-api-key", HeaderValue::from_static("sk_live_other"));
    assert_eq!(api.send(request).await.outcome(), "400 conflicting_credentials");
    let mut request = Api::request(Method::GET, &api.operator, "/v1/permissions", Body::empty());
    request.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    assert_eq!(api.send(request).await.outcome(), "400 duplicate_header");
}

#[tokio::test]
async fn idempotency_keys() {
    let api = Api::start().await;
    let body = json!({"name": "web", "environment": "ci"});
    for (key, expected) in [
        ("a".repeat(255), "201"),
        ("a".repeat(256), "400 invalid_idempotency_key"),
        ("a b".to_owned(), "400 invalid_idempotency_key"),
    ] {
        assert_eq!(
            api.post_once(&api.operator, "/v1/workspaces/acme/keys", &key, &body).await.outcome(),
            expected
        );
    }
}

#[tokio::test]
async fn paths_and_methods() {
    let api = Api::start().await;
    assert_eq!(api.get(&api.operator, "/v1/nothing").await.outcome(), "404 not_found");
    assert_eq!(api.get(&api.operator, "/v1/workspaces/%ff/keys").await.outcome(), "400 invalid_utf8");
    assert_eq!(api.get(&api.operator, "/v1/workspaces/%00/keys").await.outcome(), "404 not_found");
    let answer = api.call(Method::PUT, &api.operator, "/v1/workspaces/acme", None).await;
    assert_eq!(
        (answer.outcome(), &answer.headers["allow"]),
        ("405 method_not_allowed".into(), &"GET,HEAD,PATCH,DELETE".parse().unwrap())
    );
    let long = format!("/v1/workspaces/{}/keys", "x".repeat(10_000));
    assert_eq!(api.get(&api.operator, &long).await.outcome(), "404 not_found");
}

#[tokio::test]
async fn the_longest_user_agent_is_cut_and_kept() {
    let api = Api::start().await;
    for length in [256, 257] {
        let mut request = Api::request(
            Method::POST,
            &api.operator,
            "/v1/operators",
            json!({"name": "x"}).to_string().into(),
        );
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_str(&"a".repeat(length)).unwrap());
        assert_eq!(api.send(request).await.outcome(), "201");
        let trail = api.get(&api.operator, "/v1/audit?limit=1").await.json();
        assert_eq!(trail["data"][0]["user_agent"].as_str().unwrap().len(), 256);
    }
}
