use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    routing::{get, post},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::{caps::BODY_MAX_BYTES, error::pages};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    #[expect(dead_code, reason = "read by serde only")]
    limit: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Live,
    Test,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by serde only")]
struct Create {
    name: String,
    #[serde(default)]
    windows: Vec<Window>,
    mode: Option<Mode>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reason {
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn create(body: StrictJson<Create>) -> String {
    format!("{} {}", body.value.name, body.raw.len())
}

async fn revoke(body: OptionalJson<Reason>) -> String {
    body.value.reason.unwrap_or_default()
}

async fn list(StrictQuery(page): StrictQuery<Page>) -> String {
    format!("{:?} {:?}", page.limit, page.cursor)
}

async fn introspect(form: StrictForm<Reason>) -> String {
    form.value.reason.unwrap_or_default()
}

async fn number(StrictPath(number): StrictPath<u32>) -> String {
    number.to_string()
}

async fn slow() -> &'static str {
    std::future::pending::<()>().await;
    "never"
}

/// Waits for other nodes for four times as long as requests may take, in two waits.
async fn patient(Extension(allowance): Extension<Allowance>) -> &'static str {
    for _ in 0..2 {
        allowance.extend(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    "after all"
}

/// Waits for longer than it said.
async fn late(Extension(allowance): Extension<Allowance>) -> &'static str {
    allowance.extend(Duration::from_millis(20));
    std::future::pending::<()>().await;
    "never"
}

async fn broken() -> &'static str {
    panic!("sk_live_in_a_panic")
}

fn app() -> Router {
    let counter = Arc::new(AtomicU64::new(1));
    let ids: RequestIdSource = Arc::new(move || format!("req_{}", counter.fetch_add(1, Ordering::Relaxed)));
    let settings = EdgeSettings {
        timeout: Duration::from_millis(50),
        ..EdgeSettings::new("https://keys.example/", ids)
    };
    let router = Router::new()
        .route("/create", post(create))
        .route("/revoke", post(revoke))
        .route("/introspect", post(introspect))
        .route("/list", get(list))
        .route("/number/{number}", get(number))
        .route("/slow", get(slow).post(slow))
        .route("/patient", post(patient))
        .route("/late", post(late))
        .route("/broken", get(broken))
        .route("/teapot", get(async || http::StatusCode::IM_A_TEAPOT))
        .merge(pages::routes());
    guard(router, settings)
}

async fn call(request: Request<Body>) -> (Response<Bytes>, Value) {
    let (parts, body) = app().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    (Response::from_parts(parts, body), json)
}

async fn fetch(method: &str, uri: &str) -> (Response<Bytes>, Value) {
    call(Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()).await
}

async fn send(uri: &str, content_type: &str, body: impl Into<Body>) -> (Response<Bytes>, Value) {
    let request = Request::post(uri).header("content-type", content_type).body(body.into()).unwrap();
    call(request).await
}

async fn json(uri: &str, body: impl Into<Body>) -> (Response<Bytes>, Value) {
    send(uri, "application/json", body).await
}

#[tokio::test]
async fn a_good_body_is_read_and_kept() {
    for content_type in
        ["application/json", "Application/JSON; charset=\"UTF-8\"", "application/merge-patch+json"]
    {
        let (response, _) = send("/create", content_type, r#"{"name":"web"}"#).await;
        assert_eq!(
            (response.status().as_u16(), &response.body()[..]),
            (200, &b"web 14"[..]),
            "{content_type}"
        );
        assert_eq!(response.headers()["x-request-id"], "req_1");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn mistakes_in_a_body_have_a_code_and_a_place() {
    for (body, code, field) in [
        (r#"{"name":"a","nmae":"b"}"#, "unknown_field", "nmae"),
        (r#"{"windows":[]}"#, "missing_field", "name"),
        (r#"{"name":"a","windows":[{"limit":1},{}]}"#, "missing_field", "windows[1].limit"),
        (r#"{"name":"a","windows":[{"limit":1,"x":1}]}"#, "unknown_field", "windows[0].x"),
        (r#"{"name":"a","windows":[{"limit":"1"}]}"#, "invalid_field", "windows[0].limit"),
        (r#"{"name":"a","windows":[{"limit":-1}]}"#, "invalid_field", "windows[0].limit"),
        (r#"{"name":"a","windows":[{"limit":4294967296}]}"#, "invalid_field", "windows[0].limit"),
        (r#"{"name":"a","name":"b"}"#, "invalid_field", "name"),
        (r#"{"name":null}"#, "invalid_field", "name"),
        (r#"{"name":"a","mode":"prod"}"#, "invalid_field", "mode"),
    ] {
        let (response, problem) = json("/create", body).await;
        assert_eq!(
            (response.status().as_u16(), problem["code"].as_str()),
            (400, Some(code)),
            "{body}: {problem}"
        );
        assert_eq!(problem["field"], field, "{body}: {problem}");
        assert_eq!(problem["type"], format!("https://keys.example/errors/{code}"));
        assert_eq!(problem["request_id"], response.headers()["x-request-id"].to_str().unwrap());
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    let (_, problem) = json("/create", r#"{"name":"a","mode":"prod"}"#).await;
    assert_eq!(problem["detail"], "`mode`: expected `live` or `test`.");
    let (_, problem) = json("/create", "[1]").await;
    assert_eq!(problem["code"], "invalid_field");
}

#[tokio::test]
async fn what_is_no_json_is_told_with_its_position() {
    for body in [
        "",
        "{",
        "{\"name\":\"a\",}",
        "{'name':'a'}",
        "{\"name\":\"a\"} x",
        "{\"name\":\"\\ud800\"}",
        "\u{feff}{\"name\":\"a\"}",
    ] {
        let (response, problem) = json("/create", body).await;
        assert_eq!(
            (response.status().as_u16(), problem["code"].as_str()),
            (400, Some("invalid_json")),
            "{body:?}"
        );
    }
    let (_, problem) = json("/create", "{\n\"name\":}").await;
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &8.into()));
    let deep = format!("{{\"name\":\"a\",\"windows\":{}", "[".repeat(10_000));
    assert_eq!(json("/create", deep).await.1["code"], "invalid_field");
    let (_, problem) = json("/create", &b"{\"name\":\"\xff\"}"[..]).await;
    assert_eq!((&problem["code"], &problem["offset"]), (&"invalid_utf8".into(), &9.into()));
}

#[tokio::test]
async fn other_content_types_are_refused() {
    for content_type in ["application/x-www-form-urlencoded", "text/json", "application/json; charset=latin1"]
    {
        let (response, problem) = send("/create", content_type, r#"{"name":"a"}"#).await;
        assert_eq!(
            (response.status().as_u16(), problem["code"].as_str()),
            (415, Some("unsupported_media_type")),
            "{content_type}"
        );
    }
    let request = Request::post("/create").body(Body::from(r#"{"name":"a"}"#)).unwrap();
    assert_eq!(call(request).await.0.status(), 415);
    let request = Request::post("/create")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    assert_eq!(call(request.body(Body::from("x")).unwrap()).await.0.status(), 415);
}

#[tokio::test]
async fn a_body_has_a_largest_size() {
    let of_size = |bytes: usize| format!("{{\"name\":\"{}\"}}", "a".repeat(bytes - 11));
    assert_eq!(json("/create", of_size(BODY_MAX_BYTES)).await.0.status(), 200);
    let (response, problem) = json("/create", of_size(BODY_MAX_BYTES + 1)).await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (413, Some("body_too_large")));
    assert_eq!(problem["limit_bytes"], BODY_MAX_BYTES);
    let announced = Request::post("/create")
        .header("content-type", "application/json")
        .header("content-length", "99999999");
    assert_eq!(call(announced.body(Body::empty()).unwrap()).await.0.status(), 413);
    let chunks = futures_util::stream::iter(
        (0..=BODY_MAX_BYTES / 1024).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])),
    );
    assert_eq!(json("/create", Body::from_stream(chunks)).await.0.status(), 413);
}

#[tokio::test]
async fn a_body_may_be_optional() {
    assert_eq!(fetch("POST", "/revoke").await.0.status(), 200);
    assert_eq!(json("/revoke", r#"{"reason":"leak"}"#).await.0.body(), "leak");
    assert_eq!(json("/revoke", r#"{"raeson":"leak"}"#).await.1["code"], "unknown_field");
    assert_eq!(send("/revoke", "text/plain", "leak").await.0.status(), 415);
}

#[tokio::test]
async fn forms_are_read_strictly() {
    let form = "application/x-www-form-urlencoded";
    assert_eq!(send("/introspect", form, "reason=a+b%21").await.0.body(), "a b!");
    for (body, code) in
        [("x=1", "unknown_field"), ("reason=1&reason=2", "invalid_field"), ("reason=%ff", "invalid_utf8")]
    {
        assert_eq!(send("/introspect", form, body).await.1["code"], code, "{body}");
    }
    assert_eq!(json("/introspect", "{}").await.0.status(), 415);
}

#[tokio::test]
async fn queries_are_read_strictly() {
    let (response, _) = fetch("GET", "/list?limit=5&cursor=a%2Bb").await;
    assert_eq!(response.body(), "Some(5) Some(\"a+b\")");
    for (query, code) in [
        ("page=2", "invalid_query"),
        ("limit=1&limit=2", "invalid_query"),
        ("limit=x", "invalid_query"),
        ("limit=-1", "invalid_query"),
        ("limit=", "invalid_query"),
        ("cursor=%ff", "invalid_utf8"),
        ("api_key=x", "credential_in_url"),
    ] {
        let (response, problem) = fetch("GET", &format!("/list?{query}")).await;
        assert_eq!(
            (response.status().as_u16(), problem["code"].as_str()),
            (400, Some(code)),
            "{query}: {problem}"
        );
        if code == "invalid_query" {
            assert!(problem["field"].is_string(), "{problem}");
        }
    }
}

#[tokio::test]
async fn keys_in_any_url_are_refused() {
    let (response, problem) = fetch("GET", "/nowhere?api_key=sk_live_x").await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (400, Some("credential_in_url")));
}

#[tokio::test]
async fn paths_are_read_strictly() {
    assert_eq!(fetch("GET", "/number/7").await.0.status(), 200);
    for (path, code) in [
        ("/number/x", "invalid_path"),
        ("/number/4294967296", "invalid_path"),
        ("/number/%ff", "invalid_utf8"),
    ] {
        let (response, problem) = fetch("GET", path).await;
        assert_eq!((response.status().as_u16(), problem["code"].as_str()), (400, Some(code)), "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let (response, problem) = fetch("GET", "/nowhere").await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (404, Some("not_found")));
    assert_eq!(problem["request_id"], "req_1");
    let (response, problem) = fetch("DELETE", "/create").await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (405, Some("method_not_allowed")));
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn a_panic_is_a_500_without_details() {
    let (response, problem) = fetch("GET", "/broken").await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (500, Some("internal_error")));
    assert!(!String::from_utf8_lossy(response.body()).contains("panic"));
}

#[tokio::test]
async fn an_error_without_a_code_becomes_an_internal_one() {
    let (response, problem) = fetch("GET", "/teapot").await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (500, Some("internal_error")));
}

#[tokio::test]
async fn taking_too_long_is_honest_about_changes() {
    let (response, problem) = fetch("GET", "/slow").await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (408, Some("request_timeout")));
    let (response, problem) = fetch("POST", "/slow").await;
    assert_eq!((response.status().as_u16(), problem["code"].as_str()), (503, Some("commit_unknown")));
}

#[tokio::test]
async fn a_clients_request_id_is_not_taken_over() {
    let request = Request::get("/list").header("x-request-id", "req_forged").body(Body::empty()).unwrap();
    assert_eq!(call(request).await.0.headers()["x-request-id"], "req_1");
}

#[tokio::test]
async fn pages_are_served_as_html_and_markdown() {
    let (response, _) = fetch("GET", "/errors/rate_limited").await;
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("style-src 'sha256-") && policy.contains("default-src 'none'"));
    let html = String::from_utf8_lossy(response.body()).into_owned();
    assert!(html.contains("<h2>How to fix</h2>") && html.contains("lang=\"en\""));
    let request =
        Request::get("/errors/rate_limited").header("accept", "text/markdown").body(Body::empty()).unwrap();
    assert!(call(request).await.0.body().starts_with(b"# `rate_limited`"));
    assert!(fetch("GET", "/errors/rate_limited.md").await.0.body().starts_with(b"# `rate_limited`"));
    let (response, _) = fetch("GET", "/errors").await;
    assert!(String::from_utf8_lossy(response.body()).contains("href=\"/errors/revoked_key\""));
    assert_eq!(fetch("GET", "/errors/nope").await.1["code"], "not_found");
}

#[tokio::test]
async fn a_wait_for_other_nodes_is_no_delay_of_the_request() {
    let (response, _) = fetch("POST", "/patient").await;
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"after all"[..]));
    let (response, problem) = fetch("POST", "/late").await;
    assert_eq!((response.status().as_u16(), &problem["code"]), (503, &"commit_unknown".into()));
}
