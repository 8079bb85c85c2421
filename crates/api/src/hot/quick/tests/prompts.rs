//! Prompts from memory say what the router's endpoints say, and cost as much.

use super::*;

const PROMPTS: &str = "/v1/workspaces/acme/prompts";

struct Served {
    api: Api,
    author: Who,
    /// The credential line of an application.
    app: String,
}

async fn served() -> Served {
    let api = Api::start().await;
    let author = api.key_with(&["prompts:write"]).await.0;
    let app = line(&api.key_with(&["prompts:read", "prompts:list"]).await.0);
    for slug in ["qa-bot", "greeter"] {
        let body = json!({"slug": slug, "title": "Überschrift", "generator": "Answer {{question}}."});
        assert_eq!(api.post(&author, PROMPTS, &body).await.outcome(), "201");
        let publish = format!("{PROMPTS}/{slug}/publish");
        assert_eq!(api.post(&author, &publish, &json!({})).await.outcome(), "200");
    }
    Served { api, author, app }
}

fn line(who: &Who) -> String {
    format!("authorization: Bearer {}", secret(who))
}

/// The credential line of an application whose account is a viewer.
async fn key_of_a_viewer(api: &Api) -> String {
    let account = json!({"name": "Reader", "email": "reader@example.com", "role": "viewer"});
    let account = api.post(&api.operator, "/v1/workspaces/acme/service-accounts", &account).await;
    assert_eq!(account.outcome(), "201", "{}", account.text);
    let body = json!({
        "name": "of-a-viewer", "environment": "production", "permissions": ["prompts:read"],
        "service_account": account.json()["id"],
    });
    let made = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await;
    assert_eq!(made.outcome(), "201", "{}", made.text);
    line(&Who::Holder(made.json()["secret"].as_str().unwrap().into()))
}

fn get(credential: &str, body: &str) -> String {
    verify(credential, body).replace("/v1/keys/verify", "/v1/prompts/get")
}

fn named(credential: &str, name: &str) -> String {
    get(credential, &json!({"package_name": name}).to_string())
}

fn list(credential: &str, query: &str) -> String {
    check(credential).replace("/v1/check", &format!("/v1/prompts{query}"))
}

/// What is left of the tightest window, by an answer's headers.
fn left(headers: &[String]) -> Option<u32> {
    headers.iter().find_map(|header| header.strip_prefix("x-ratelimit-remaining: ")?.parse().ok())
}

fn without_limits(headers: &[String]) -> Vec<&str> {
    headers
        .iter()
        .map(|header| if header.contains("ratelimit") { header.split(':').next().unwrap() } else { header })
        .collect()
}

/// The answer of the plain way, whether memory had it or not.
async fn plain(api: &Api, text: &str) -> (Quick, (u16, Vec<String>, String)) {
    let (first, mut output) = quick(&api.state, text);
    if first == Quick::Later {
        let answered = answer_patiently(&api.state, text.as_bytes(), 100, peer(), &mut output).await;
        assert!(
            matches!(answered, Quick::Answered(answered) if answered.input_bytes == text.len()),
            "{text}"
        );
    }
    (first, split(&output))
}

/// The answer of the router.
async fn routed(api: &Api, text: &str) -> (u16, Vec<String>, String) {
    let front = Front::new(api.state.clone(), crate::router(api.state.clone()));
    let response = front.call(parsed(text), peer()).await;
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let headers = headers.filter(|header| !header.starts_with("content-length")).collect();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    masked(status, headers, &String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn prompts_come_as_from_the_router_and_each_costs_one() {
    let Served { api, author, app } = served().await;
    let (verifier, unknown) =
        (line(&api.key_with(&["keys:verify"]).await.0), format!("x-api-key: {UNKNOWN}"));
    let page = api.get(&author, "/v1/prompts?limit=1").await;
    assert_eq!(page.outcome(), "403 insufficient_permissions", "to write is not to list");
    let texts = [
        (200, named(&app, "@acme/qa-bot:v1")),
        (200, named(&app, "@acme/qa-bot")),
        (200, list(&app, "")),
        (200, list(&app, "?limit=1")),
        (404, named(&app, "@acme/qa-bot:v9")),
        (404, named(&app, "@acme/no-such:v1")),
        (401, named(&app, "@other/qa-bot:v1")),
        (400, list(&app, "?cursor=abc")),
        (403, named(&verifier, "@acme/qa-bot:v1")),
        (403, list(&verifier, "")),
        (401, named(&unknown, "@acme/qa-bot:v1")),
    ];
    for (status, text) in texts {
        let (first, (said, headers, body)) = plain(&api, &text).await;
        assert_eq!(said, status, "{text}: {body}");
        let (expected, router_headers, router_body) = routed(&api, &text).await;
        assert_eq!((said, &body), (expected, &router_body), "{text}");
        assert_eq!(without_limits(&headers), without_limits(&router_headers), "{text}");
        let (again, (_, headers_again, body_again)) = plain(&api, &text).await;
        assert_eq!(body, body_again);
        if status == 200 {
            assert_eq!(first, Quick::Later, "{text}");
            assert!(matches!(again, Quick::Answered(_)), "from memory now: {again:?} {text}");
            let costs = [left(&headers), left(&router_headers), left(&headers_again)].map(Option::unwrap);
            assert_eq!(costs, [costs[0], costs[0] - 1, costs[0] - 2], "{text}");
        }
    }
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_request_and_drafts_by_their_authors_only() {
    let Served { api, author, app } = served().await;
    let version = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap()["version"].clone();
    let latest = named(&app, "@acme/qa-bot");
    plain(&api, &latest).await;
    let (answered, (_, _, body)) = plain(&api, &latest).await;
    assert!(matches!(answered, Quick::Answered(_)));
    assert_eq!(version(&body), "v1");
    let patch = json!({"generator": "Answer {{question}} at once."});
    assert_eq!(api.patch(&author, &format!("{PROMPTS}/qa-bot"), &patch).await.outcome(), "200");
    assert_eq!(api.post(&author, &format!("{PROMPTS}/qa-bot/publish"), &json!({})).await.outcome(), "200");
    let (later, (_, _, body)) = plain(&api, &latest).await;
    assert_eq!((later, version(&body)), (Quick::Later, json!("v2")));
    // The author's application has read the draft, so it is in memory; but not for one whose account may not write prompts.
    assert_eq!(plain(&api, &named(&app, "@acme/qa-bot:v0")).await.1.0, 200);
    assert!(matches!(plain(&api, &named(&app, "@acme/qa-bot:v0")).await.0, Quick::Answered(_)));
    let viewer = key_of_a_viewer(&api).await;
    for _ in 0..2 {
        assert_eq!(plain(&api, &named(&viewer, "@acme/qa-bot:v0")).await.1.0, 404);
        assert_eq!(plain(&api, &named(&viewer, "@acme/qa-bot:v2")).await.1.0, 200);
    }
    let (_, (status, _, body)) = plain(&api, &named(&line(&author), "@acme/qa-bot:v2")).await;
    assert_eq!(status, 403, "what is in memory is for those who may have it: {body}");
    let body = json!({"reason": "test"});
    let id = api.get(&Who::Holder(app.rsplit(' ').next().unwrap().into()), "/v1/whoami").await.json();
    let id = id["key"]["id"].as_str().unwrap().to_owned();
    let revoke = format!("/v1/workspaces/acme/keys/{id}/revoke");
    assert_eq!(api.post(&api.operator, &revoke, &body).await.outcome(), "200");
    let (_, (status, _, body)) = plain(&api, &latest).await;
    assert_eq!(status, 401, "a revoked key has nothing from memory either: {body}");
    assert!(body.contains("revoked_key"), "{body}");
}

#[tokio::test]
async fn leaves_requests_for_prompts_that_are_not_plain() {
    let Served { api, app, .. } = served().await;
    let operator = line(&api.operator);
    let body = json!({"package_name": "@acme/qa-bot", "variables": {"question": "why"}}).to_string();
    let texts = [
        get(&app, &body),
        get(&app, "{"),
        get(&app, "[\"@acme/qa-bot\"]"),
        get(&app, "{\"package_name\": 1}"),
        named(&app, "qa-bot"),
        list(&app, "?limit=0"),
        list(&app, "?limit=101"),
        list(&app, "?nonsense=1"),
        list(&app, "?api_key=sk_live_x"),
        list(&app, "s"),
        list(&app, "/context/download-url?id=x"),
        list(&app, "").replace("GET", "HEAD"),
        named(&operator, "@acme/qa-bot"),
        list(&operator, ""),
        list("accept: */*", ""),
    ];
    for text in texts {
        assert_eq!(quick(&api.state, &text).0, Quick::Other, "{text}");
    }
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_refused_from_memory_too() {
    let Served { api, .. } = served().await;
    let body = json!({
        "name": "limited", "environment": "production", "permissions": ["prompts:read"],
        "limits": [{"name": "minute", "limit": 2, "window_seconds": 60}],
    });
    let made = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await;
    assert_eq!(made.outcome(), "201", "{}", made.text);
    let text = named(&format!("x-api-key: {}", made.json()["secret"].as_str().unwrap()), "@acme/greeter");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let (_, (status, headers, body)) = plain(&api, &text).await;
        assert_eq!(status == 429, body.contains("rate_limited"), "{body}");
        statuses.push((status, left(&headers)));
    }
    assert_eq!(statuses, [(200, Some(1)), (200, Some(0)), (429, Some(0)), (429, Some(0))]);
}
