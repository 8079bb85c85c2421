use clap::Parser;
use serde_json::json;

use super::{
    super::{
        console::{Dialogue, captured::console},
        fake_server::FakeServer,
    },
    *,
};
use crate::failure::Exit;

const SECRET: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    keys: Keys,
}

struct Outcome {
    result: Result<(), Failure>,
    out: String,
    err: String,
    requests: Vec<String>,
}

fn run(arguments: &[&str], input: &[u8], answers: Vec<(u16, String)>) -> Outcome {
    let server = FakeServer::start(answers);
    let front = ["keys", "--url", server.url(), "--workspace", "acme"];
    let line = Line::try_parse_from([&front, arguments].concat()).unwrap();
    let (console, out, err) = console(input, Dialogue::Impossible);
    let result = line.keys.run(console);
    Outcome { result, out: out.text(), err: err.text(), requests: server.requests() }
}

fn body(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn create_prints_the_secret_alone() {
    let answer = json!({"key": {"id": "key_1"}, "secret": SECRET, "warnings": ["say more"]}).to_string();
    let arguments = [
        "create",
        "web",
        "--env",
        "prod",
        "--limit",
        "minute=10/60s",
        "--metadata",
        "a=b",
        "--permission",
        "prompts:read",
        "--idempotency-key",
        "i-1",
    ];
    let outcome = run(&arguments, b"", vec![(201, answer)]);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.out, format!("{SECRET}\n"));
    assert!(
        outcome.err.contains("key_1")
            && outcome.err.contains("shown once")
            && outcome.err.contains("say more")
    );
    assert!(!outcome.err.contains("MTahov"));
    let request = &outcome.requests[0];
    assert!(request.starts_with("POST /v1/workspaces/acme/keys HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("idempotency-key: i-1"));
    assert_eq!(
        body(request),
        json!({"name": "web", "environment": "production", "permissions": ["prompts:read"], "metadata": {"a": "b"},
            "limits": [{"name": "minute", "limit": 10, "window_seconds": 60, "algorithm": "sliding"}]})
    );
}

#[test]
fn what_takes_away_asks_first() {
    for arguments in [
        &["revoke", "key_1"][..],
        &["delete", "key_1"],
        &["compromise", "key_1"],
        &["complete-rotation", "key_1"],
        &["cancel-rotation", "key_1"],
        &["rotate", "key_1", "--overlap", "0"],
    ] {
        let outcome = run(arguments, b"yes\n", vec![(200, "{}".to_owned())]);
        assert_eq!(outcome.result.unwrap_err().exit(), Exit::Arguments, "{arguments:?}");
        assert!(outcome.requests.is_empty(), "{arguments:?}");
        let outcome = run(&[arguments, &["--yes"]].concat(), b"", vec![(200, "{}".to_owned())]);
        assert!(outcome.result.is_ok() && outcome.requests.len() == 1, "{arguments:?}");
        let outcome = run(&[arguments, &["--dry-run"]].concat(), b"", vec![]);
        assert!(outcome.result.is_ok() && outcome.requests.is_empty(), "{arguments:?}");
        assert!(outcome.out.contains("/v1/workspaces/acme/keys/key_1"), "{}", outcome.out);
    }
}

#[test]
fn update_tells_absent_from_null() {
    let outcome = run(
        &["update", "key_1", "--no-expiry", "--any-ip", "--name", "n"],
        b"",
        vec![(200, "{}".to_owned())],
    );
    assert!(outcome.result.is_ok());
    assert_eq!(body(&outcome.requests[0]), json!({"expires_at": null, "allowed_ips": [], "name": "n"}));
    let outcome = run(&["update", "key_1"], b"", vec![]);
    assert_eq!(outcome.result.unwrap_err().exit(), Exit::Arguments);
}

#[test]
fn list_follows_the_pages() {
    let page = |id: &str, cursor: serde_json::Value| {
        (
            200,
            json!({"data": [{"id": id, "name": "n", "secrets": []}], "cursor": cursor, "has_more": false})
                .to_string(),
        )
    };
    let outcome = run(
        &["list", "--all", "--env", "ci"],
        b"",
        vec![page("key_1", json!("c&1")), page("key_2", json!(null))],
    );
    assert!(outcome.result.is_ok());
    assert!(outcome.out.contains("key_1") && outcome.out.contains("key_2"), "{}", outcome.out);
    assert!(outcome.requests[0].contains("?environment=ci&limit=100 "), "{}", outcome.requests[0]);
    assert!(outcome.requests[1].contains("&cursor=c%261 "), "{}", outcome.requests[1]);
}

#[test]
fn a_receipt_is_shown() {
    let answer = json!({"key": {"id": "key_1"}, "effective": {"nodes": 3, "waited_ms": 4.1}}).to_string();
    let outcome = run(&["revoke", "key_1", "--reason", "r", "--yes"], b"", vec![(200, answer)]);
    assert_eq!(outcome.out, "Revoked key_1. In force on 3 node(s) after 4.1 ms.\n");
    assert_eq!(body(&outcome.requests[0]), json!({"reason": "r"}));
}

#[test]
fn verify_reads_the_key_from_standard_input() {
    let answer = json!({"valid": false, "code": "revoked_key"}).to_string();
    let outcome = run(&["verify", "--cost", "0"], format!("{SECRET}\n").as_bytes(), vec![(200, answer)]);
    assert_eq!(outcome.result.as_ref().unwrap_err().exit(), Exit::Negative);
    assert!(outcome.out.contains("revoked_key"));
    assert!(!format!("{}{}{}", outcome.out, outcome.err, outcome.result.unwrap_err()).contains("MTahov"));
    assert_eq!(body(&outcome.requests[0]), json!({"key": SECRET, "cost": 0, "workspace": "acme"}));
}

#[test]
fn bulk_revoke_looks_before_it_revokes() {
    let outcome = run(&["bulk-revoke"], b"", vec![]);
    assert_eq!(outcome.result.unwrap_err().exit(), Exit::Arguments);
    let preview = (200, json!({"dry_run": true, "count": 2, "sample": ["key_1"]}).to_string());
    let outcome = run(&["bulk-revoke", "--env", "ci"], b"", vec![preview.clone()]);
    let failure = outcome.result.unwrap_err();
    assert!(failure.to_string().contains("Revokes 2 key(s)"), "{failure}");
    assert_eq!(body(&outcome.requests[0])["dry_run"], json!(true));
    let done = (200, json!({"dry_run": false, "count": 2, "sample": []}).to_string());
    let outcome = run(&["bulk-revoke", "--env", "ci", "--yes"], b"", vec![preview, done]);
    assert_eq!(outcome.out, "Revoked 2 key(s).\n");
    assert_eq!(body(&outcome.requests[1]), json!({"filter": {"environment": "ci"}, "dry_run": false}));
}

#[test]
fn the_workspace_is_asked_for_when_none_is_named() {
    let server = FakeServer::start(vec![
        (200, json!({"type": "key", "key": {"workspace": "own"}}).to_string()),
        (200, json!({"id": "key_1"}).to_string()),
    ]);
    let line = Line::try_parse_from(["keys", "--url", server.url(), "get", "key_1"]).unwrap();
    let (console, ..) = console(b"", Dialogue::Impossible);
    line.keys.run(console).unwrap();
    assert!(server.requests()[1].starts_with("GET /v1/workspaces/own/keys/key_1 "));
}

/// The answer to a change that one node may not go by yet.
fn not_in_force_yet(mut answer: serde_json::Value) -> String {
    answer["operation"] = json!({
        "id": "op_1", "status": "waiting", "sequence": 5, "complete_by_ms": 28_400,
        "waiting_on": [{"node": "eu-2", "lease_left_ms": 28_000}],
    });
    answer.to_string()
}

fn complete() -> String {
    let effective = json!({"nodes": 2, "waited_ms": 4.5, "silent": 1});
    json!({"id": "op_1", "status": "complete", "effective": effective}).to_string()
}

#[test]
fn a_revocation_is_followed_until_it_is_in_force_everywhere() {
    let still =
        json!({"id": "op_1", "status": "waiting", "complete_by_ms": 3_000, "waiting_on": [{"node": "eu-2"}]});
    let revoked = not_in_force_yet(json!({"key": {"id": "key_1"}, "sequence": 5}));
    let answers = vec![(202, revoked), (200, still.to_string()), (200, complete())];
    let outcome = run(&["revoke", "key_1", "--yes"], b"", answers);
    assert!(outcome.result.is_ok(), "{}", outcome.err);
    assert!(outcome.out.contains("In force on 2 node(s) after 4.5 ms."), "{}", outcome.out);
    assert!(outcome.err.contains("Not in force yet on eu-2; in 29 s at the latest"), "{}", outcome.err);
    assert!(outcome.err.contains("in 3 s at the latest"), "{}", outcome.err);
    assert!(outcome.requests[0].contains("prefer: wait=5"), "{}", outcome.requests[0]);
    assert!(outcome.requests[2].starts_with("GET /v1/operations/op_1 "), "{}", outcome.requests[2]);
    assert!(outcome.requests[2].contains("prefer: wait=5"), "{}", outcome.requests[2]);
}

#[test]
fn a_revocation_is_not_followed_if_nobody_waits() {
    let revoked = not_in_force_yet(json!({"key": {"id": "key_1"}, "sequence": 5}));
    let outcome = run(&["revoke", "key_1", "--yes", "--no-wait"], b"", vec![(202, revoked)]);
    assert!(outcome.result.is_ok(), "{}", outcome.err);
    assert!(outcome.out.contains("Not in force yet on eu-2"), "{}", outcome.out);
    assert!(outcome.requests[0].contains("prefer: wait=0"), "{}", outcome.requests[0]);
    assert_eq!(outcome.requests.len(), 1);
}

#[test]
fn a_change_that_cannot_be_followed_was_made_all_the_same() {
    let revoked = not_in_force_yet(json!({"key": {"id": "key_1"}, "sequence": 5}));
    let refused = json!({"code": "not_found", "title": "Not found", "status": 404}).to_string();
    let outcome = run(&["revoke", "key_1", "--yes"], b"", vec![(202, revoked), (404, refused)]);
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.exit(), Exit::Refused);
    assert!(failure.to_string().contains("The change itself was made (operation op_1)"), "{failure}");
}

#[test]
fn a_secret_is_shown_before_the_change_is_followed() {
    let rotated = not_in_force_yet(json!({"key": {"id": "key_1"}, "secret": SECRET}));
    let arguments = ["rotate", "key_1", "--overlap", "0", "--yes"];
    let outcome = run(&arguments, b"", vec![(202, rotated.clone()), (200, complete())]);
    assert!(outcome.result.is_ok(), "{}", outcome.err);
    assert_eq!(outcome.out, format!("{SECRET}\n"));
    assert!(outcome.err.contains("In force on 2 node(s)"), "{}", outcome.err);
    // Nobody answers any more: the secret is not lost.
    let outcome = run(&arguments, b"", vec![(202, rotated)]);
    assert_eq!(outcome.result.unwrap_err().exit(), Exit::Unreachable);
    assert_eq!(outcome.out, format!("{SECRET}\n"));
}
