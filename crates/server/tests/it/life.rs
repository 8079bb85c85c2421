//! The life of a key, over HTTP.

use serde_json::json;

use crate::process::{Dev, directory};

#[test]
fn from_creation_to_deletion() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let owner = dev.owner();
    assert_eq!(owner.verify(&dev.text("/api_key/secret")), "valid");
    assert_eq!(dev.text("/workspace"), "acme");

    let (id, first) = owner.create("production-web-app");
    let key = format!("/v1/workspaces/acme/keys/{id}");
    assert_eq!(owner.verify(&first), "valid");

    let rotated = owner.post(&format!("{key}/rotate"), &json!({"overlap_seconds": 3600}), 200);
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_eq!(rotated["key"]["id"], json!(id));
    assert_eq!((&*owner.verify(&first), &*owner.verify(&second)), ("valid", "valid"));
    owner.post(&format!("{key}/rotate/complete"), &json!({}), 200);
    assert_eq!((&*owner.verify(&first), &*owner.verify(&second)), ("revoked_key", "valid"));

    owner.post(&format!("{key}/disable"), &json!({}), 200);
    assert_eq!(owner.verify(&second), "disabled_key");
    owner.post(&format!("{key}/enable"), &json!({}), 200);
    assert_eq!(owner.verify(&second), "valid");

    let receipt = owner.post(&format!("{key}/revoke"), &json!({"reason": "the test is over"}), 200);
    assert_eq!(receipt["effective"]["nodes"], 1);
    assert_eq!(owner.verify(&second), "revoked_key");
    assert_eq!(owner.delete(&key), 204);
    assert_eq!(owner.get(&key).0, 404);
    let (_, list) = owner.get("/v1/workspaces/acme/keys");
    assert!(list["data"].as_array().unwrap().iter().all(|listed| listed["id"] != json!(id)), "{list}");
    dev.stop();
}

#[test]
fn the_next_start_has_the_same_credentials_and_keys() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let (_, secret) = dev.owner().create("kept");
    let first = dev.line().clone();
    dev.stop();
    let dev = Dev::start(directory.path());
    assert_eq!(dev.owner().verify(&secret), "valid");
    for pointer in ["/operator_key", "/management_key", "/api_key/secret", "/owner/password"] {
        assert_eq!(dev.line().pointer(pointer), first.pointer(pointer), "{pointer}");
    }
    assert_eq!(dev.operator().get("/v1/workspaces").0, 200);
    dev.stop();
}

#[test]
fn the_pasteable_lines_work_as_they_are() {
    let directory = directory();
    let mut child = crate::process::keywright()
        .args(["dev", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory.path().join("data"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    while !text.contains("Ctrl-C") {
        assert!(std::io::BufRead::read_line(&mut out, &mut text).unwrap() > 0, "{text}");
    }
    let answer = |heading: &str| {
        let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("{heading} in {text}"));
        let (command, _) = rest.split_once("\n\n").unwrap();
        let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(answer("Verify a key:").contains("\"valid\":true"));
    assert!(answer("Create one:").contains("sk_live_"));
    assert!(answer("Get a prompt:").contains("\"version\":\"v1\""));
    assert!(answer("List the prompts:").contains("\"packageName\":\"support-assistant\""));
    assert!(answer("Revoke the one above (then verify it again):").contains("\"revoked\""));
    assert!(answer("Verify a key:").contains("revoked_key"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn limits_go_on_over_a_restart() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let body = json!({
        "name": "limited", "environment": "production",
        "limits": [{"name": "hour", "limit": 5, "window_seconds": 3600}],
    });
    let (_, secret) = crate::client::created(&dev.owner().post("/v1/workspaces/acme/keys", &body, 201));
    for _ in 0..2 {
        assert_eq!(dev.owner().verify(&secret), "valid");
    }
    dev.stop();
    let dev = Dev::start(directory.path());
    for _ in 0..2 {
        assert_eq!(dev.owner().verify(&secret), "valid");
    }
    dev.kill();
    let dev = Dev::start(directory.path());
    assert_eq!(dev.owner().verify(&secret), "valid");
    assert_eq!(dev.owner().verify(&secret), "rate_limited");
    dev.stop();
}
