//! Who may call what: a row for every operation, called by everyone, compared with a golden file.
//!
//! The routes of the router, the operations of the OpenAPI document and the rows of [`ROWS`] are the same set: an
//! endpoint cannot be added without deciding, here, who may call it.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use http::{Method, StatusCode};
use keywright_api::{openapi_document, router};
use keywright_domain::{
    command::Command,
    permission::{Builtin, Role},
};
use keywright_testkit::Samples;
use serde_json::{Value, json};

use crate::harness::{Api, Who, holder};

/// What an operation needs.
#[derive(Clone, Copy)]
enum Needs {
    /// No credential.
    Nothing,
    /// Any good credential.
    Credential,
    /// A session.
    Session,
    /// This permission on the workspace.
    Permission(&'static str),
    /// An operator credential.
    Operator,
}

struct Row {
    method: &'static str,
    template: &'static str,
    needs: Needs,
    /// What is sent: it must be good enough for a 2xx.
    body: Option<fn() -> Value>,
}

const fn row(method: &'static str, template: &'static str, needs: Needs, body: Option<fn() -> Value>) -> Row {
    Row { method, template, needs, body }
}

const NO_BODY: Option<fn() -> Value> = None;

macro_rules! body {
    ($($json:tt)+) => {
        Some(|| json!($($json)+))
    };
}

const KEYS_READ: Needs = Needs::Permission("keys:read");
const KEYS_WRITE: Needs = Needs::Permission("keys:write");
const KEYS_VERIFY: Needs = Needs::Permission("keys:verify");
const MEMBERS_READ: Needs = Needs::Permission("members:read");
const MEMBERS_WRITE: Needs = Needs::Permission("members:write");
const USAGE_READ: Needs = Needs::Permission("usage:read");
const WORKSPACE_DELETE: Needs = Needs::Permission("workspace:delete");
const PROMPTS_WRITE: Needs = Needs::Permission("prompts:write");
const AUDIT_READ: Needs = Needs::Permission("audit:read");

const ROWS: &[Row] = &[
    row("GET", "/v1/account", Needs::Session, NO_BODY),
    row(
        "PUT",
        "/v1/account/password",
        Needs::Session,
        body!({"new_password": "correct horse battery staple"}),
    ),
    row("POST", "/v1/account/recovery", Needs::Nothing, body!({"email": "a@b"})),
    row("POST", "/v1/account/recovery/finish", Needs::Nothing, body!({"token": "x", "password": "x"})),
    row("POST", "/v1/account/recovery-codes", Needs::Session, NO_BODY),
    row("DELETE", "/v1/account/totp", Needs::Session, NO_BODY),
    row("POST", "/v1/account/totp", Needs::Session, NO_BODY),
    row("POST", "/v1/account/totp/confirm", Needs::Session, body!({"code": "000000"})),
    row("GET", "/v1/audit", Needs::Operator, NO_BODY),
    row("GET", "/v1/audit/checkpoints", Needs::Operator, NO_BODY),
    row("GET", "/v1/check", Needs::Credential, NO_BODY),
    row("GET", "/v1/health", Needs::Nothing, NO_BODY),
    row("POST", "/v1/introspect", KEYS_VERIFY, body!("token=x")),
    row("POST", "/v1/invitations/accept", Needs::Nothing, body!({"token": "x"})),
    row("POST", "/v1/invitations/lookup", Needs::Nothing, body!({"token": "x"})),
    row("POST", "/v1/keys/lookup", KEYS_READ, body!({"locators": ["aB3dE6gH9kLm"]})),
    row("POST", "/v1/keys/verify", KEYS_VERIFY, body!({"key": "x"})),
    row("GET", "/v1/operators", Needs::Operator, NO_BODY),
    row("POST", "/v1/operators", Needs::Operator, body!({"name": "second"})),
    row("POST", "/v1/operators/{id}/revoke", Needs::Operator, NO_BODY),
    row("GET", "/v1/permissions", Needs::Credential, NO_BODY),
    row("PUT", "/v1/permissions/{name}", Needs::Operator, body!({"description": "Read reports."})),
    row("GET", "/v1/plans", Needs::Credential, NO_BODY),
    row("DELETE", "/v1/plans/{name}", Needs::Operator, NO_BODY),
    row("PUT", "/v1/plans/{name}", Needs::Operator, body!({"key_limits": []})),
    row("GET", "/v1/privacy/collected", Needs::Nothing, NO_BODY),
    row("POST", "/v1/redact", Needs::Credential, body!({"text": "call 555-123-4567"})),
    row("GET", "/v1/usage", Needs::Credential, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/credits", USAGE_READ, NO_BODY),
    row(
        "POST",
        "/v1/workspaces/{slug}/credits/grant",
        Needs::Operator,
        body!({"external_id": "cust_42", "amount": 1_000}),
    ),
    row(
        "PUT",
        "/v1/workspaces/{slug}/credits/refill",
        Needs::Operator,
        body!({"external_id": "cust_42", "refill": null}),
    ),
    row(
        "POST",
        "/v1/workspaces/{slug}/credits/reserve",
        KEYS_VERIFY,
        body!({"external_id": "cust_42", "amount": 1}),
    ),
    row("POST", "/v1/workspaces/{slug}/credits/reservations/{id}/commit", KEYS_VERIFY, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/credits/reservations/{id}/refund", KEYS_VERIFY, NO_BODY),
    row("GET", "/v1/sessions", Needs::Session, NO_BODY),
    row("POST", "/v1/sessions", Needs::Nothing, body!({"email": "a@b", "password": "x"})),
    row("POST", "/v1/sessions/end-others", Needs::Session, NO_BODY),
    row("POST", "/v1/sessions/reauthenticate", Needs::Session, body!({"password": "x"})),
    row("DELETE", "/v1/sessions/{id}", Needs::Session, NO_BODY),
    row("GET", "/v1/sign-in/oidc", Needs::Nothing, NO_BODY),
    row("GET", "/v1/sign-in/oidc/{provider}", Needs::Nothing, NO_BODY),
    row("GET", "/v1/sign-in/oidc/{provider}/callback", Needs::Nothing, NO_BODY),
    row("POST", "/v1/setup", Needs::Nothing, body!({"token": "x"})),
    row("GET", "/v1/operations/{id}", Needs::Credential, NO_BODY),
    row("DELETE", "/v1/users/{id}", Needs::Operator, NO_BODY),
    row("POST", "/v1/users/{id}/end-sessions", Needs::Operator, NO_BODY),
    row("POST", "/v1/users/{id}/recovery", Needs::Operator, NO_BODY),
    row("DELETE", "/v1/users/{id}/totp", Needs::Operator, NO_BODY),
    row("GET", "/v1/me", Needs::Session, NO_BODY),
    row("DELETE", "/v1/me", Needs::Session, NO_BODY),
    row("GET", "/v1/me/export", Needs::Session, NO_BODY),
    row("PUT", "/v1/me/collection", Needs::Session, body!({"collect": false})),
    row("GET", "/v1/me/consents", Needs::Session, NO_BODY),
    row("PUT", "/v1/me/consents/{name}", Needs::Session, body!({"version": "2026-11"})),
    row("DELETE", "/v1/me/consents/{name}", Needs::Session, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/leave", Needs::Session, NO_BODY),
    row("GET", "/v1/users/{id}/export", Needs::Operator, NO_BODY),
    row("PUT", "/v1/users/{id}/collection", Needs::Operator, body!({"collect": false})),
    row("GET", "/v1/users/{id}/consents", Needs::Operator, NO_BODY),
    row("PUT", "/v1/users/{id}/consents/{name}", Needs::Operator, body!({"version": "2026-11"})),
    row("DELETE", "/v1/users/{id}/consents/{name}", Needs::Operator, NO_BODY),
    row("GET", "/v1/whoami", Needs::Credential, NO_BODY),
    row("GET", "/v1/workspaces", Needs::Operator, NO_BODY),
    row("POST", "/v1/workspaces", Needs::Operator, body!({"slug": "SLUG"})),
    row("GET", "/v1/workspaces/{slug}", Needs::Permission("workspace:read"), NO_BODY),
    row("PATCH", "/v1/workspaces/{slug}", Needs::Permission("workspace:write"), body!({"name": "Acme"})),
    row("DELETE", "/v1/workspaces/{slug}", WORKSPACE_DELETE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/restore", WORKSPACE_DELETE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/audit", AUDIT_READ, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/incidents", KEYS_READ, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/keys", KEYS_READ, NO_BODY),
    row(
        "POST",
        "/v1/workspaces/{slug}/keys",
        KEYS_WRITE,
        body!({"name": "web", "environment": "ci", "permissions": []}),
    ),
    row(
        "POST",
        "/v1/workspaces/{slug}/keys/revoke",
        KEYS_WRITE,
        body!({"filter": {"external_id": "nobody"}, "dry_run": true}),
    ),
    row("DELETE", "/v1/workspaces/{slug}/keys/{id}", KEYS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/keys/{id}", KEYS_READ, NO_BODY),
    row("PATCH", "/v1/workspaces/{slug}/keys/{id}", KEYS_WRITE, body!({"name": "renamed"})),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/compromise", KEYS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/disable", KEYS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/enable", KEYS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/keys/{id}/ledger", USAGE_READ, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/keys/{id}/origins", USAGE_READ, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/revoke", KEYS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/rotate", KEYS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/rotate/cancel", KEYS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/rotate/complete", KEYS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/keys/{id}/usage", USAGE_READ, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/keys/hand-over", KEYS_WRITE, body!({"from": "usr_", "to": "sa_"})),
    row("POST", "/v1/workspaces/{slug}/keys/{id}/hand-over", KEYS_WRITE, body!({"to": "sa_"})),
    row("GET", "/v1/workspaces/{slug}/invitations", MEMBERS_READ, NO_BODY),
    row(
        "POST",
        "/v1/workspaces/{slug}/invitations",
        MEMBERS_WRITE,
        body!({"invitations": [{"email": "somebody", "role": "viewer"}]}),
    ),
    row("DELETE", "/v1/workspaces/{slug}/invitations/{id}", MEMBERS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/invitations/{id}/resend", MEMBERS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/members", MEMBERS_READ, NO_BODY),
    row("DELETE", "/v1/workspaces/{slug}/members/{id}", MEMBERS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/members/{id}", MEMBERS_READ, NO_BODY),
    row("PATCH", "/v1/workspaces/{slug}/members/{id}", MEMBERS_WRITE, body!({"permissions": []})),
    row("GET", "/v1/workspaces/{slug}/service-accounts", MEMBERS_READ, NO_BODY),
    row(
        "POST",
        "/v1/workspaces/{slug}/service-accounts",
        MEMBERS_WRITE,
        body!({"name": "batch", "email": "NUMBER@company.com", "permissions": []}),
    ),
    row("DELETE", "/v1/workspaces/{slug}/service-accounts/{id}", MEMBERS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/service-accounts/{id}", MEMBERS_READ, NO_BODY),
    row("PATCH", "/v1/workspaces/{slug}/service-accounts/{id}", MEMBERS_WRITE, body!({"name": "batch"})),
    row("POST", "/v1/workspaces/{slug}/service-accounts/{id}/disable", MEMBERS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/service-accounts/{id}/enable", MEMBERS_WRITE, NO_BODY),
    row(
        "POST",
        "/v1/workspaces/{slug}/transfer-ownership",
        MEMBERS_WRITE,
        body!({"from": "owner", "to": "usr_"}),
    ),
    row("GET", "/v1/workspaces/{slug}/usage", USAGE_READ, NO_BODY),
    row("GET", "/api/v1/prompts/context/download-url", Needs::Permission("context:download"), NO_BODY),
    row("GET", "/v1/prompts", Needs::Permission("prompts:list"), NO_BODY),
    row("GET", "/v1/prompts/context/download-url", Needs::Permission("context:download"), NO_BODY),
    row("GET", "/v1/prompts/context/{id}/content", Needs::Nothing, NO_BODY),
    row("POST", "/v1/prompts/get", Needs::Permission("prompts:read"), body!({"package_name": "@acme/qa:v1"})),
    row("GET", "/v1/workspaces/{slug}/prompts", PROMPTS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/prompts", PROMPTS_WRITE, body!({"slug": "SLUG"})),
    row("DELETE", "/v1/workspaces/{slug}/prompts/{prompt}", PROMPTS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/prompts/{prompt}", PROMPTS_WRITE, NO_BODY),
    row("PATCH", "/v1/workspaces/{slug}/prompts/{prompt}", PROMPTS_WRITE, body!({"title": "New"})),
    row("POST", "/v1/workspaces/{slug}/prompts/{prompt}/archive", PROMPTS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/prompts/{prompt}/context", PROMPTS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/prompts/{prompt}/context/files", PROMPTS_WRITE, body!({"a": "file"})),
    row(
        "POST",
        "/v1/workspaces/{slug}/prompts/{prompt}/context/links",
        PROMPTS_WRITE,
        body!({"url": "https://example.com/"}),
    ),
    row("DELETE", "/v1/workspaces/{slug}/prompts/{prompt}/context/{item}", PROMPTS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/prompts/{prompt}/diff", PROMPTS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/prompts/{prompt}/publish", PROMPTS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/prompts/{prompt}/restore", PROMPTS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/prompts/{prompt}/versions", PROMPTS_WRITE, NO_BODY),
    row("GET", "/v1/workspaces/{slug}/prompts/{prompt}/versions/{version}", PROMPTS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/prompts/{prompt}/versions/{version}/archive", PROMPTS_WRITE, NO_BODY),
    row("POST", "/v1/workspaces/{slug}/prompts/{prompt}/versions/{version}/restore", PROMPTS_WRITE, NO_BODY),
];

/// Pages for people and tools, open to all and not part of the OpenAPI document. This list may only shrink.
const UNDOCUMENTED: [&str; 4] = ["GET /docs", "GET /errors", "GET /errors/{code}", "GET /openapi.json"];

#[tokio::test]
async fn routes_operations_and_rows_are_the_same() {
    let rows: BTreeSet<String> = ROWS.iter().map(|row| format!("{} {}", row.method, row.template)).collect();
    assert_eq!(rows.len(), ROWS.len(), "a row is there twice");
    assert_eq!(operations(), rows, "operations of the OpenAPI document (left), rows (right)");
    let api = Api::bare().await;
    let mut routes = routes(&format!("{:?}", router(api.state.clone())));
    for page in UNDOCUMENTED {
        assert!(routes.remove(page), "{page} is not there any more: take it off the list");
    }
    assert_eq!(routes, rows, "routes of the router (left), rows (right)");
}

fn operations() -> BTreeSet<String> {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.collect()
}

/// What axum's own description of a router says: the methods and the path of each route number.
fn routes(description: &str) -> BTreeSet<String> {
    let (endpoints, _fallback) = description.split_once("fallback_router").unwrap();
    let (mut methods, mut paths) = (HashMap::new(), HashMap::new());
    for entry in endpoints.split("RouteId(").skip(1) {
        let (number, rest) = entry.split_once("): ").unwrap();
        if let Some(path) = rest.strip_prefix('"') {
            paths.insert(number, path.split('"').next().unwrap());
        } else {
            // A route without a list takes any method; its operation is documented as GET.
            let listed = rest.split_once("allow_header: Bytes(b\"").map_or("GET", |(_, list)| list);
            methods.insert(number, listed.split('"').next().unwrap());
        }
    }
    assert_eq!(methods.len(), paths.len(), "axum describes its routers in another way now");
    let routes = paths.iter().flat_map(|(number, path)| {
        let listed = methods[number].split(',').filter(|method| *method != "HEAD");
        listed.map(move |method| format!("{method} {path}"))
    });
    routes.collect()
}

#[tokio::test]
async fn everyone_gets_what_the_golden_file_says() {
    let api = Api::start().await;
    let stranger = stranger(&api).await;
    let mut keys_of_roles = Vec::new();
    for role in Role::ALL {
        let all: Vec<&str> = Builtin::ALL.map(Builtin::name).into();
        let key = api.key_of(&api.member(role).await, &all).await.0;
        keys_of_roles.push((format!("key of the {}", role.as_str()), key));
    }
    let mut table = String::new();
    for row in ROWS {
        // What one address may ask without a credential is limited by the minute.
        api.clock.advance_seconds(60);
        let (holder, lacking) = keys_for(&api, row.needs).await;
        writeln!(table, "{} {}", row.method, row.template).unwrap();
        let callers = [
            ("anonymous", &Who::Anonymous),
            ("operator", &api.operator),
            ("key with the permission", &holder),
            ("key without it", &lacking),
            ("key of another workspace", &stranger),
        ];
        let keys = keys_of_roles.iter().map(|(name, key)| (name.as_str(), key));
        for (name, who) in callers.into_iter().chain(keys) {
            let outcome = call(&api, row, who).await;
            writeln!(table, "    {name}: {outcome}").unwrap();
        }
        for role in Role::ALL.map(Role::as_str) {
            let outcome = call(&api, row, &api.person(role).await).await;
            writeln!(table, "    {role}: {outcome}").unwrap();
        }
    }
    compare_with_golden(&table);
}

fn compare_with_golden(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/authorization.golden");
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if golden == table {
        return;
    }
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authorization.golden");
    std::fs::write(&new, table).unwrap();
    let different = table.lines().zip(golden.lines()).position(|(now, then)| now != then);
    panic!(
        "line {different:?} differs from {}; if that is meant, copy {} there",
        path.display(),
        new.display()
    );
}

/// A key with just what is needed, and one with everything else.
async fn keys_for(api: &Api, needs: Needs) -> (Who, Who) {
    let all: Vec<&str> = Builtin::ALL.map(Builtin::name).into();
    let (just_it, all_else) = match needs {
        Needs::Permission(needed) => (vec![needed], all.into_iter().filter(|name| *name != needed).collect()),
        Needs::Nothing | Needs::Credential | Needs::Session | Needs::Operator => (all, vec![]),
    };
    (api.key_with(&just_it).await.0, api.key_with(&all_else).await.0)
}

async fn stranger(api: &Api) -> Who {
    let answer = api.post(&api.operator, "/v1/workspaces", &json!({"slug": "other"})).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let body = json!({"name": "stranger", "environment": "production", "permissions": Builtin::ALL.map(Builtin::name)});
    holder(&api.post(&api.operator, "/v1/workspaces/other/keys", &body).await.json()["secret"])
}

async fn call(api: &Api, row: &Row, who: &Who) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = prepare(api, row, number).await;
    let method = Method::from_bytes(row.method.as_bytes()).unwrap();
    if row.template == "/v1/introspect" {
        return api.post_form(who, &path, "token=x").await.outcome();
    }
    let mut body = row.body.map(|body| body());
    if let Some(slug) = body.as_mut().and_then(|body| body.get_mut("slug")) {
        *slug = json!(format!("workspace-{number}"));
    }
    if let Some(email) = body.as_mut().and_then(|body| body.get_mut("email")) {
        *email = json!(format!("{number}@company.com"));
    }
    if let Some(body) = &mut body {
        api.fill_in(body).await;
    }
    let outcome = api.call(method, who, &path, body.as_ref()).await.outcome();
    if is_about_deletion(row) {
        // Whatever the call did: everyone who comes next finds the workspace as it was.
        api.post(&api.operator, "/v1/workspaces/acme/restore", &json!({})).await;
    }
    outcome
}

fn is_about_deletion(row: &Row) -> bool {
    row.template.ends_with("/restore") || (row.method, row.template) == ("DELETE", "/v1/workspaces/{slug}")
}

/// Makes what the path names, and fills it in.
async fn prepare(api: &Api, row: &Row, number: u32) -> String {
    let path = row.template.replace("{slug}", "acme");
    if path.contains("/prompts") {
        return prepare_prompt(api, row, &path, number).await;
    }
    if path.starts_with("/v1/plans/") {
        let path = path.replace("{name}", &format!("plan-{number}"));
        let answer = api.call(Method::PUT, &api.operator, &path, Some(&json!({"key_limits": []}))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        return path;
    }
    if is_about_deletion(row) {
        let delete = "/v1/workspaces/acme?confirm=acme".to_owned();
        if row.method == "DELETE" {
            return delete;
        }
        assert_eq!(api.call(Method::DELETE, &api.operator, &delete, None).await.status, StatusCode::OK);
    }
    if path.starts_with("/v1/operations/") {
        let (_, id) = api.key_with(&[]).await;
        api.cluster.lose_a_node(true);
        let revoke = format!("/v1/workspaces/acme/keys/{id}/revoke");
        let answer = api.post(&api.operator, &revoke, &json!({})).await;
        api.cluster.lose_a_node(false);
        return path.replace("{id}", answer.json()["operation"]["id"].as_str().unwrap());
    }
    if path.starts_with("/v1/users/") {
        return path_of_user(api, row, &path, number).await;
    }
    if path.starts_with("/v1/sign-in/oidc/") {
        return path.replace("{provider}", "corp");
    }
    if path.starts_with("/v1/sessions/") {
        return path.replace("{id}", "current");
    }
    if path.contains("/credits/") {
        return path.replace("{id}", &api.reservation().await);
    }
    if path.starts_with("/v1/operators/") {
        let answer = api.post(&api.operator, "/v1/operators", &json!({"name": "to be revoked"})).await;
        return path.replace("{id}", answer.json()["operator"]["id"].as_str().unwrap());
    }
    if path.contains("/invitations/") && path.contains("{id}") {
        return path.replace("{id}", &invitation(api).await);
    }
    if path.contains("/members/") {
        return path.replace("{id}", &api.member(Role::Viewer).await.principal.id_text());
    }
    if path.contains("/service-accounts/") {
        return path.replace("{id}", &api.service_account(&format!("of-{number}@company.com")).await);
    }
    if path.starts_with("/v1/me/") {
        return path.replace("{name}", "terms");
    }
    if !path.contains("{id}") {
        return path.replace("{name}", "reports:read");
    }
    let (_, id) = api.key_with(&[]).await;
    if path.contains("/rotate/") {
        let answer =
            api.post(&api.operator, &format!("/v1/workspaces/acme/keys/{id}/rotate"), &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    path.replace("{id}", &id)
}

/// The id of a new invitation.
async fn invitation(api: &Api) -> String {
    let mut body = json!({"invitations": [{"email": "somebody", "role": "viewer"}]});
    api.fill_in(&mut body).await;
    let made = api.post(&api.operator, "/v1/workspaces/acme/invitations", &body).await.json();
    made["data"][0]["id"].as_str().unwrap().to_owned()
}

/// Makes a prompt with a version, another draft and a context item, and fills in what of it the path names.
async fn prepare_prompt(api: &Api, row: &Row, path: &str, number: u32) -> String {
    let prompts = "/v1/workspaces/acme/prompts";
    let slug = format!("prompt-{number}");
    if row.template == "/v1/prompts/get" {
        // The body names this one; from the second caller on it is there.
        let body = json!({"slug": "qa", "generator": "x"});
        if api.post(&api.operator, prompts, &body).await.status.is_success() {
            let published = api.post(&api.operator, &format!("{prompts}/qa/publish"), &json!({})).await;
            assert_eq!(published.status, StatusCode::OK, "{}", published.text);
        }
    }
    let item = api.published_prompt(&slug).await;
    let path = path.replace("{prompt}", &slug).replace("{version}", "v1").replace("{item}", &item);
    match row.template {
        template if template.ends_with("/download-url") => format!("{path}?contextId={item}"),
        template if template.ends_with("/files") => format!("{path}?file_name=b.json"),
        template if template.ends_with("/content") => {
            let holder = api.key_with(&["context:download"]).await.0;
            let asked = format!("/v1/prompts/context/download-url?contextId={item}");
            let url = api.get(&holder, &asked).await.json()["url"].as_str().unwrap().to_owned();
            url.trim_start_matches("https://keys.example").to_owned()
        }
        _ => path,
    }
}

/// A path about a new person, who consented to what is withdrawn.
async fn path_of_user(api: &Api, row: &Row, path: &str, number: u32) -> String {
    let samples = Samples::new(u64::from(number) + 1_000);
    let user = samples.user();
    let id = user.id.to_string();
    let workspace = api.workspace_id().await;
    let command = Command::CreateMember { user, workspace, role: Role::Viewer };
    let context = samples.context(Samples::operator_permit());
    api.state.store.execute(context, command).await.unwrap();
    let path = path.replace("{id}", &id).replace("{name}", "terms");
    if row.method == "DELETE" && path.contains("/consents/") {
        let given = api.call(Method::PUT, &api.operator, &path, Some(&json!({"version": "1"}))).await;
        assert_eq!(given.status, StatusCode::OK);
    }
    path
}
