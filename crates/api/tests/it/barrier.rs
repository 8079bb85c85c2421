//! What waits for the other nodes: a row for every operation that changes something.
//!
//! The operations of the OpenAPI document that are no question and the rows of [`ROWS`] are the same set: an endpoint
//! cannot be added without deciding, here, whether it takes something away.

use std::{collections::BTreeSet, time::Duration};

use axum::body::Body;
use http::{Method, StatusCode, header};
use keywright_api::{cluster::Awaited, openapi_document};
use keywright_domain::{
    lease::LeaseTerm::{self, Long, Short, Standard},
    permission::Role,
};
use serde_json::{Value, json};

use crate::harness::{Answer, Api, Asked, Who};

/// Whether a call takes something away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// It does: every node is waited for, as long as a lease of this term may last.
    Away(LeaseTerm),
    /// It gives, or changes nothing that a verification sees.
    Nothing,
    /// It moves credits, which are no part of the verification state and whose answers have no place in the log.
    Credits,
}

/// What was done before the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Nothing,
    Rotated,
    Revoked,
    Disabled,
    Deleted,
    Archived,
}

struct Row {
    method: &'static str,
    template: &'static str,
    given: Given,
    body: fn() -> Value,
    takes: Takes,
}

const fn row(
    method: &'static str,
    template: &'static str,
    given: Given,
    body: fn() -> Value,
    takes: Takes,
) -> Row {
    Row { method, template, given, body, takes }
}

const KEYS: &str = "/v1/workspaces/{slug}/keys";
const KEY: &str = "/v1/workspaces/{slug}/keys/{id}";
const WORKSPACE: &str = "/v1/workspaces/{slug}";
const RESTORE: &str = "/v1/workspaces/{slug}/restore";
const PLAN: &str = "/v1/plans/{name}";

macro_rules! rows {
    ($($method:literal $template:expr, $given:ident, $body:tt => $takes:expr;)+) => {
        &[$(row($method, $template, Given::$given, || json!($body), $takes)),+]
    };
}

const ROTATE: &str = "/v1/workspaces/{slug}/keys/{id}/rotate";
const COMPLETE: &str = "/v1/workspaces/{slug}/keys/{id}/rotate/complete";
const CANCEL: &str = "/v1/workspaces/{slug}/keys/{id}/rotate/cancel";
const DISABLE: &str = "/v1/workspaces/{slug}/keys/{id}/disable";
const ENABLE: &str = "/v1/workspaces/{slug}/keys/{id}/enable";
const REVOKE: &str = "/v1/workspaces/{slug}/keys/{id}/revoke";
const COMPROMISE: &str = "/v1/workspaces/{slug}/keys/{id}/compromise";
const BULK: &str = "/v1/workspaces/{slug}/keys/revoke";
const HAND_OVER: &str = "/v1/workspaces/{slug}/keys/{id}/hand-over";
const HAND_OVER_ALL: &str = "/v1/workspaces/{slug}/keys/hand-over";
const MEMBER: &str = "/v1/workspaces/{slug}/members/{id}";
const TRANSFER: &str = "/v1/workspaces/{slug}/transfer-ownership";
const ACCOUNTS: &str = "/v1/workspaces/{slug}/service-accounts";
const ACCOUNT: &str = "/v1/workspaces/{slug}/service-accounts/{id}";
const ACCOUNT_OFF: &str = "/v1/workspaces/{slug}/service-accounts/{id}/disable";
const ACCOUNT_ON: &str = "/v1/workspaces/{slug}/service-accounts/{id}/enable";
const OPERATOR: &str = "/v1/operators/{id}/revoke";
const PERSON: &str = "/v1/users/{id}";
const PROMPTS: &str = "/v1/workspaces/{slug}/prompts";
const PROMPT: &str = "/v1/workspaces/{slug}/prompts/{prompt}";
const PUBLISH: &str = "/v1/workspaces/{slug}/prompts/{prompt}/publish";
const ARCHIVE: &str = "/v1/workspaces/{slug}/prompts/{prompt}/archive";
const BACK: &str = "/v1/workspaces/{slug}/prompts/{prompt}/restore";
const VERSION_ARCHIVE: &str = "/v1/workspaces/{slug}/prompts/{prompt}/versions/{version}/archive";
const VERSION_BACK: &str = "/v1/workspaces/{slug}/prompts/{prompt}/versions/{version}/restore";
const FILES: &str = "/v1/workspaces/{slug}/prompts/{prompt}/context/files";
const LINKS: &str = "/v1/workspaces/{slug}/prompts/{prompt}/context/links";
const ITEM: &str = "/v1/workspaces/{slug}/prompts/{prompt}/context/{item}";
const GRANT: &str = "/v1/workspaces/{slug}/credits/grant";
const REFILL: &str = "/v1/workspaces/{slug}/credits/refill";
const RESERVE: &str = "/v1/workspaces/{slug}/credits/reserve";
const COMMIT: &str = "/v1/workspaces/{slug}/credits/reservations/{id}/commit";
const REFUND: &str = "/v1/workspaces/{slug}/credits/reservations/{id}/refund";

const ROWS: &[Row] = rows! {
    "POST" "/v1/setup", Nothing, {"token": "setup-token"} => Takes::Nothing;
    "POST" "/v1/operators", Nothing, {"name": "second"} => Takes::Nothing;
    "POST" OPERATOR, Nothing, {} => Takes::Away(Standard);
    "PUT" "/v1/permissions/{name}", Nothing, {"description": "Read reports."} => Takes::Nothing;
    "PUT" PLAN, Nothing, {"key_limits": []} => Takes::Away(Long);
    "DELETE" PLAN, Nothing, null => Takes::Away(Long);
    "POST" "/v1/workspaces", Nothing, {"slug": "other"} => Takes::Nothing;
    "PATCH" WORKSPACE, Nothing, {"name": "Acme"} => Takes::Nothing;
    "PATCH" WORKSPACE, Nothing, {"suspended": false} => Takes::Nothing;
    "PATCH" WORKSPACE, Nothing, {"suspended": true} => Takes::Away(Standard);
    "PATCH" WORKSPACE, Nothing, {"plan": "unlimited"} => Takes::Away(Standard);
    "PATCH" WORKSPACE, Nothing, {"policy": {"allowed_permissions": []}} => Takes::Away(Standard);
    "PATCH" WORKSPACE, Nothing, {"policy": {"lease_seconds": 3}} => Takes::Away(Standard);
    "PATCH" WORKSPACE, Nothing, {"policy": {"lease_seconds": 300}} => Takes::Away(Long);
    "PATCH" WORKSPACE, Nothing, {"slug": "acme-inc"} => Takes::Nothing;
    "PATCH" WORKSPACE, Nothing, {"policy": {"max_key_days": 30}} => Takes::Away(Standard);
    "PATCH" WORKSPACE, Nothing, {"policy": {"rotation_mode": "enforce"}} => Takes::Away(Standard);
    "PATCH" WORKSPACE, Nothing, {"policy": {"allowed_ips": ["203.0.113.0/24"]}} => Takes::Away(Standard);
    "DELETE" WORKSPACE, Nothing, null => Takes::Away(Standard);
    "DELETE" WORKSPACE, Deleted, null => Takes::Away(Standard);
    "POST" RESTORE, Deleted, {} => Takes::Nothing;
    "POST" KEYS, Nothing, {"name": "web", "environment": "ci"} => Takes::Nothing;
    "POST" BULK, Nothing, {"filter": {"status": "active"}} => Takes::Away(Standard);
    "POST" BULK, Nothing, {"filter": {"external_id": "nobody"}} => Takes::Away(Standard);
    "PATCH" KEY, Nothing, {"name": "web"} => Takes::Nothing;
    "PATCH" KEY, Nothing, {"metadata": {"team": "web"}} => Takes::Nothing;
    "PATCH" KEY, Nothing, {"permissions": []} => Takes::Away(Standard);
    "PATCH" KEY, Nothing, {"allowed_ips": ["203.0.113.0/24"]} => Takes::Away(Standard);
    "PATCH" KEY, Nothing, {"expires_at": "2027-01-01T00:00:00Z"} => Takes::Away(Standard);
    "PATCH" KEY, Nothing, {"limits": [{"name": "m", "limit": 1, "window_seconds": 60}]} => Takes::Away(Standard);
    "DELETE" KEY, Nothing, null => Takes::Away(Standard);
    "POST" ROTATE, Nothing, {"overlap_seconds": 10} => Takes::Nothing;
    "POST" ROTATE, Nothing, {"overlap_seconds": 0} => Takes::Away(Standard);
    "POST" COMPLETE, Rotated, {} => Takes::Away(Standard);
    "POST" CANCEL, Rotated, {} => Takes::Away(Standard);
    "POST" DISABLE, Nothing, {} => Takes::Away(Standard);
    // A repeat changes nothing. All the same it must not say "done" before it is.
    "POST" DISABLE, Disabled, {} => Takes::Away(Standard);
    "POST" ENABLE, Disabled, {} => Takes::Nothing;
    "POST" REVOKE, Nothing, {} => Takes::Away(Standard);
    "POST" REVOKE, Revoked, {} => Takes::Away(Standard);
    "POST" HAND_OVER, Nothing, {"to": "sa_"} => Takes::Away(Standard);
    "POST" HAND_OVER_ALL, Nothing, {"from": "usr_", "to": "sa_"} => Takes::Away(Standard);
    "PATCH" MEMBER, Nothing, {"role": "viewer"} => Takes::Away(Standard);
    "PATCH" MEMBER, Nothing, {"permissions": ["prompts:read"]} => Takes::Away(Standard);
    "PATCH" MEMBER, Nothing, {"role": "admin"} => Takes::Away(Standard);
    "DELETE" MEMBER, Nothing, null => Takes::Away(Standard);
    "POST" TRANSFER, Nothing, {"from": "owner", "to": "usr_"} => Takes::Away(Standard);
    "POST" ACCOUNTS, Nothing, {"name": "batch", "email": "batch@company.com"} => Takes::Nothing;
    "PATCH" ACCOUNT, Nothing, {"permissions": []} => Takes::Away(Standard);
    "DELETE" ACCOUNT, Nothing, null => Takes::Away(Standard);
    "POST" ACCOUNT_OFF, Nothing, {} => Takes::Away(Standard);
    "POST" ACCOUNT_OFF, Disabled, {} => Takes::Away(Standard);
    "POST" ACCOUNT_ON, Disabled, {} => Takes::Nothing;
    "POST" COMPROMISE, Nothing, {} => Takes::Away(Standard);
    "POST" COMPROMISE, Nothing, {"replace": false} => Takes::Away(Standard);
    "DELETE" PERSON, Nothing, null => Takes::Away(Long);
    "POST" PROMPTS, Nothing, {"slug": "other"} => Takes::Nothing;
    "PATCH" PROMPT, Nothing, {"title": "New"} => Takes::Nothing;
    "POST" PUBLISH, Nothing, {} => Takes::Nothing;
    "POST" FILES, Nothing, {"a": "file"} => Takes::Nothing;
    "POST" LINKS, Nothing, {"url": "https://example.com/faq"} => Takes::Nothing;
    "DELETE" ITEM, Nothing, null => Takes::Away(Standard);
    "POST" ARCHIVE, Nothing, null => Takes::Away(Standard);
    "POST" ARCHIVE, Archived, null => Takes::Away(Standard);
    "POST" BACK, Archived, null => Takes::Nothing;
    "POST" VERSION_ARCHIVE, Nothing, null => Takes::Away(Standard);
    "POST" VERSION_ARCHIVE, Archived, null => Takes::Away(Standard);
    "POST" VERSION_BACK, Archived, null => Takes::Nothing;
    "DELETE" PROMPT, Nothing, null => Takes::Away(Standard);
    "POST" GRANT, Nothing, {"external_id": "cust_42", "amount": 1} => Takes::Credits;
    "PUT" REFILL, Nothing, {"external_id": "cust_42", "refill": null} => Takes::Credits;
    "POST" RESERVE, Nothing, {"external_id": "cust_42", "amount": 1} => Takes::Credits;
    "POST" COMMIT, Nothing, {"amount": 0} => Takes::Credits;
    "POST" REFUND, Nothing, null => Takes::Credits;
};

/// Operations that are no GET and change nothing.
const QUESTIONS: [&str; 5] = [
    "POST /v1/introspect",
    "POST /v1/keys/lookup",
    "POST /v1/keys/verify",
    "POST /v1/prompts/get",
    "POST /v1/redact",
];

/// What is no part of the verification state: accounts of people, which are looked up with every request. What people do about
/// themselves has tests of its receipts beside its endpoints.
fn is_elsewhere(operation: &str) -> bool {
    ["/v1/account", "/v1/sessions", "/v1/me", "/leave", "/invitations", "/v1/users/{id}/"]
        .iter()
        .any(|part| operation.contains(part))
}

#[test]
fn every_change_has_a_row() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let changes: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method, path)))
        .filter(|(method, _)| ["post", "put", "patch", "delete"].contains(&method.as_str()))
        .map(|(method, path)| format!("{} {path}", method.to_uppercase()))
        .filter(|operation| !QUESTIONS.contains(&operation.as_str()) && !is_elsewhere(operation))
        .collect();
    let rows: BTreeSet<String> = ROWS.iter().map(|row| format!("{} {}", row.method, row.template)).collect();
    assert_eq!(rows, changes);
}

/// An installation with what the row needs, and the path to call.
async fn prepare(row: &Row) -> (Api, String) {
    if row.template == "/v1/setup" {
        let api = Api::bare().await;
        api.state.setup.open("setup-token");
        return (api, row.template.to_owned());
    }
    let api = Api::start().await;
    let path = row.template.replace("{slug}", "acme");
    let delete = "/v1/workspaces/acme?confirm=acme";
    if row.given == Given::Deleted {
        api.call(Method::DELETE, &api.operator, delete, None).await;
    }
    if (row.method, row.template) == ("DELETE", WORKSPACE) {
        return (api, delete.to_owned());
    }
    let path = if path.starts_with("/v1/plans/") {
        let body = json!({"key_limits": [], "description": "another"});
        api.call(Method::PUT, &api.operator, "/v1/plans/trial", Some(&body)).await;
        path.replace("{name}", "trial")
    } else if path.starts_with("/v1/operators/") {
        let made = api.post(&api.operator, "/v1/operators", &json!({"name": "second"})).await.json();
        path.replace("{id}", made["operator"]["id"].as_str().unwrap())
    } else if path.contains("/members/") || path.starts_with("/v1/users/") {
        path.replace("{id}", &api.member(Role::Admin).await.principal.id_text())
    } else if path.contains("{prompt}") {
        prompt(&api, row, &path).await
    } else if path.contains("/credits/") {
        path.replace("{id}", &api.reservation().await)
    } else if path.contains("/service-accounts/") {
        let id = api.service_account("api@company.com").await;
        if row.given == Given::Disabled {
            let path = format!("/v1/workspaces/acme/service-accounts/{id}/disable");
            assert_eq!(api.post(&api.operator, &path, &json!({})).await.status, StatusCode::OK);
        }
        path.replace("{id}", &id)
    } else if path.contains("{id}") {
        path.replace("{id}", &key(&api, row.given).await)
    } else {
        path.replace("{name}", "reports:read")
    };
    (api, path)
}

/// Makes a prompt with a version, another draft and a file, and fills in what of it the path names.
async fn prompt(api: &Api, row: &Row, path: &str) -> String {
    let item = api.published_prompt("qa-bot").await;
    let path = path.replace("{prompt}", "qa-bot").replace("{version}", "v1").replace("{item}", &item);
    if row.given == Given::Archived {
        let archive = path.replace("/restore", "/archive");
        assert_eq!(api.call(Method::POST, &api.operator, &archive, None).await.status, StatusCode::OK);
    }
    if row.template == FILES { format!("{path}?file_name=b.json") } else { path }
}

async fn key(api: &Api, given: Given) -> String {
    let (_, id) = api.key_with(&["prompts:read"]).await;
    let action = match given {
        Given::Nothing | Given::Deleted | Given::Archived => return id,
        Given::Rotated => "rotate",
        Given::Revoked => "revoke",
        Given::Disabled => "disable",
    };
    let answer =
        api.post(&api.operator, &format!("/v1/workspaces/acme/keys/{id}/{action}"), &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    id
}

async fn call(api: &Api, row: &Row, path: &str) -> Answer {
    let mut body = Some((row.body)()).filter(|body| !body.is_null());
    if let Some(body) = &mut body {
        api.fill_in(body).await;
    }
    let method = Method::from_bytes(row.method.as_bytes()).unwrap();
    api.cluster.asked();
    api.call(method, &api.operator, path, body.as_ref()).await
}

fn everywhere(asked: &[Asked]) -> Vec<(Awaited, Duration)> {
    let waits = asked.iter().filter_map(|asked| match asked {
        Asked::Everywhere(change, patience) => Some((*change, *patience)),
        Asked::Here(_) | Asked::Fresh => None,
    });
    waits.collect()
}

#[tokio::test]
async fn what_takes_away_waits_for_every_node_and_what_does_not_for_this_one() {
    for row in ROWS {
        let (api, path) = prepare(row).await;
        let answer = call(&api, row, &path).await;
        let context = format!("{} {path} {}: {}", row.method, (row.body)(), answer.text);
        assert!(answer.status.is_success() && answer.status != StatusCode::ACCEPTED, "{context}");
        let asked = api.cluster.asked();
        if row.takes == Takes::Credits {
            assert!(matches!(asked[..], [Asked::Here(_)]), "{asked:?} {context}");
            assert_eq!(answer.json().get("sequence"), None, "{context}");
            continue;
        }
        let sequence = match answer.headers.get("x-keywright-sequence") {
            Some(value) => value.to_str().unwrap().parse().unwrap(),
            None if row.template == "/v1/setup" => api.state.plane.engine().applied(),
            None => answer.json()["sequence"].as_u64().expect("a change tells its place in the log"),
        };
        match row.takes {
            Takes::Away(term) => {
                let change = Awaited { sequence, term };
                // The settling of a cut lease waits in the background, too.
                assert!(
                    everywhere(&asked).contains(&(change, Duration::from_secs(40))),
                    "{asked:?} {context}"
                );
            }
            Takes::Nothing | Takes::Credits => assert_eq!(asked, [Asked::Here(sequence)], "{context}"),
        }
    }
}

#[tokio::test]
async fn what_a_lost_node_delays_is_accepted_and_completes_later() {
    for row in ROWS {
        let (api, path) = prepare(row).await;
        api.cluster.lose_a_node(true);
        let answer = call(&api, row, &path).await;
        let context = format!("{} {path} {}: {}", row.method, (row.body)(), answer.text);
        if matches!(row.takes, Takes::Nothing | Takes::Credits) {
            assert_ne!(answer.status, StatusCode::ACCEPTED, "{context}");
            continue;
        }
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{context}");
        let body = answer.json();
        let operation = &body["operation"];
        assert_eq!(operation["status"], "waiting", "{context}");
        assert_eq!(operation["sequence"], body["sequence"], "{context}");
        assert_eq!(operation["waiting_on"], json!([{"node": "eu-2", "lease_left_ms": 28_501}]), "{context}");
        assert_eq!(
            (&operation["complete_by_ms"], body.get("effective")),
            (&json!(37_000), None),
            "{context}"
        );
        let location = answer.headers[header::LOCATION].to_str().unwrap();
        assert_eq!(location, format!("/v1/operations/{}", operation["id"].as_str().unwrap()));
        if [ROTATE, COMPROMISE].contains(&row.template) && row_replaces(row) {
            assert!(body["secret"].as_str().unwrap().starts_with("sk_live_"), "it is shown once: {context}");
        }
        assert_eq!(api.get(&api.operator, location).await.json(), *operation, "{context}");
        api.cluster.lose_a_node(false);
        let complete = api.get(&api.operator, location).await.json();
        assert_eq!(complete["status"], "complete", "{context}");
        assert_eq!(complete["effective"], json!({"nodes": 1, "waited_ms": 0.0, "silent": 0}), "{context}");
    }
}

fn row_replaces(row: &Row) -> bool {
    (row.body)()["replace"] != json!(false)
}

async fn send(api: &Api, method: Method, path: &str, prefer: &str) -> Answer {
    let mut request = Api::request(method, &api.operator, path, Body::empty());
    request.headers_mut().insert("prefer", prefer.parse().unwrap());
    api.cluster.asked();
    api.send(request).await
}

#[tokio::test]
async fn the_caller_says_how_long_to_wait() {
    let api = Api::start().await;
    let (_, id) = api.key_with(&[]).await;
    let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
    for (prefer, seconds, applied) in [
        ("wait=0", 0, Some("wait=0")),
        ("respond-async, wait=7", 7, Some("wait=7")),
        ("wait=400", 400, Some("wait=400")),
        ("wait=401", 400, Some("wait=400")),
        ("wait=soon", 40, None),
    ] {
        let answer = send(&api, Method::POST, &path, prefer).await;
        assert_eq!(everywhere(&api.cluster.asked())[0].1, Duration::from_secs(seconds), "{prefer}");
        assert_eq!(answer.allowed, Duration::from_secs(seconds), "the wait is not cut short: {prefer}");
        let header = answer.headers.get("preference-applied").map(|value| value.to_str().unwrap());
        assert_eq!(header, applied, "{prefer}");
    }
    api.cluster.lose_a_node(true);
    let waiting = send(&api, Method::POST, &path, "wait=1").await.json();
    let operation = format!("/v1/operations/{}", waiting["operation"]["id"].as_str().unwrap());
    send(&api, Method::GET, &operation, "wait=30").await;
    assert_eq!(everywhere(&api.cluster.asked())[0].1, Duration::from_secs(30));
    api.get(&api.operator, &operation).await;
    assert_eq!(everywhere(&api.cluster.asked())[0].1, Duration::ZERO, "a question waits only if asked to");
}

#[tokio::test]
async fn operations_that_never_were_are_not_found() {
    let api = Api::start().await;
    let (_, id) = api.key_with(&[]).await;
    api.cluster.lose_a_node(true);
    let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
    let waiting = api.post(&api.operator, &path, &json!({})).await.json();
    let good = waiting["operation"]["id"].as_str().unwrap();
    let mut other = good.to_owned();
    let last = other.pop().unwrap();
    other.push(if last == '0' { '1' } else { '0' });
    for id in [other.as_str(), "op_", "x", "op_00000000000000000000000000", &good[3..]] {
        let answer = api.get(&api.operator, &format!("/v1/operations/{id}")).await;
        assert_eq!(answer.outcome(), "404 not_found", "{id}");
    }
}

#[tokio::test]
async fn whoever_may_make_changes_may_follow_them() {
    let api = Api::start().await;
    let (_, id) = api.key_with(&[]).await;
    api.cluster.lose_a_node(true);
    let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
    let waiting = api.post(&api.operator, &path, &json!({})).await.json();
    let operation = format!("/v1/operations/{}", waiting["operation"]["id"].as_str().unwrap());
    for permission in ["keys:read", "keys:write", "workspace:read", "workspace:write"] {
        let (who, _) = api.key_with(&[permission]).await;
        assert_eq!(api.get(&who, &operation).await.outcome(), "200", "{permission}");
    }
    let (application, _) = api.key_with(&["prompts:read"]).await;
    let refused = api.get(&application, &operation).await;
    assert_eq!(refused.outcome(), "403 insufficient_permissions");
    assert_eq!(refused.json()["missing_permissions"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_node_that_does_not_reach_the_change_does_not_judge_it() {
    let api = Api::start().await;
    let (_, id) = api.key_with(&[]).await;
    api.cluster.lose_a_node(true);
    let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
    let waiting = api.post(&api.operator, &path, &json!({})).await.json();
    api.cluster.lose_the_store();
    let operation = format!("/v1/operations/{}", waiting["operation"]["id"].as_str().unwrap());
    assert_eq!(api.get(&api.operator, &operation).await.outcome(), "503 stale_verifier");
}

async fn waits_for(api: &Api) -> LeaseTerm {
    let (_, id) = api.key_with(&[]).await;
    api.cluster.asked();
    api.post(&api.operator, &format!("/v1/workspaces/acme/keys/{id}/revoke"), &json!({})).await;
    everywhere(&api.cluster.asked())[0].0.term
}

#[tokio::test]
async fn a_cut_of_the_lease_counts_when_every_node_has_heard_of_it() {
    let api = Api::start().await;
    let lease = |seconds: u32| json!({"policy": {"lease_seconds": seconds}});
    assert_eq!(waits_for(&api).await, Standard);
    api.cluster.lose_a_node(true);
    let cut = api.patch(&api.operator, "/v1/workspaces/acme", &lease(3)).await;
    assert_eq!((cut.status, &cut.json()["policy"]["lease_seconds"]), (StatusCode::ACCEPTED, &json!(3)));
    assert_eq!(waits_for(&api).await, Standard, "a node may still hold the longer one");
    api.cluster.lose_a_node(false);
    settled(&api, Short).await;
    // A raise counts at once.
    api.patch(&api.operator, "/v1/workspaces/acme", &lease(300)).await;
    assert_eq!(waits_for(&api).await, Long);
    api.patch(&api.operator, "/v1/workspaces/acme", &lease(30)).await;
    settled(&api, Standard).await;
}

#[tokio::test]
async fn an_older_cut_does_not_settle_a_newer_one() {
    let api = Api::start().await;
    let lease = |seconds: u32| json!({"policy": {"lease_seconds": seconds}});
    api.patch(&api.operator, "/v1/workspaces/acme", &lease(300)).await;
    api.cluster.lose_a_node(true);
    api.patch(&api.operator, "/v1/workspaces/acme", &lease(30)).await;
    api.patch(&api.operator, "/v1/workspaces/acme", &lease(3)).await;
    assert_eq!(waits_for(&api).await, Long);
    api.cluster.lose_a_node(false);
    settled(&api, Short).await;
    let audit = api.get(&api.operator, "/v1/workspaces/acme/audit?limit=100").await.json();
    let entries = audit["data"].as_array().unwrap();
    let settled = entries.iter().filter(|entry| entry["action"] == "workspace.lease_settled").count();
    assert_eq!(settled, 1, "by the newer one alone");
}

async fn settled(api: &Api, term: LeaseTerm) {
    for _ in 0..50 {
        if waits_for(api).await == term {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the lease is never settled");
}

#[tokio::test]
async fn anonymous_callers_learn_nothing_of_operations() {
    let api = Api::start().await;
    let answer = api.get(&Who::Anonymous, "/v1/operations/op_00000000000000000000000000").await;
    assert_eq!(answer.outcome(), "401 missing_credentials");
}
