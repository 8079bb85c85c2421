//! No secret in logs, errors, metrics or files that are not meant for it.

use std::{fs, path::Path};

use serde_json::json;

use crate::process::{Dev, directory, eventually};

#[test]
fn a_whole_run_shows_no_secret() {
    let directory = directory();
    let dev = Dev::start_with(
        directory.path(),
        &[("KEYWRIGHT_LOG_LEVEL", "trace"), ("KEYWRIGHT_LOG_FORMAT", "json")],
    );
    let (owner, admin) = (dev.owner(), dev.admin());
    let (id, first) = owner.create("watched");
    let key = format!("/v1/workspaces/acme/keys/{id}");
    let rotated = owner.post(&format!("{key}/rotate"), &json!({"overlap_seconds": 60}), 200);
    let second = rotated["secret"].as_str().unwrap().to_owned();
    let replaced =
        owner.post(&format!("{key}/compromise"), &json!({"reason": "leaked", "replace": true}), 200);
    let third = replaced["secret"].as_str().unwrap().to_owned();
    owner.verify(&third);
    owner.verify(&first);
    // Where secrets do not belong.
    owner.get(&format!("/v1/keys/{third}"));
    owner.get(&format!("/v1/workspaces?key={third}"));
    owner.try_post("/v1/keys/verify", &json!({"key": third, "bogus": third})).unwrap();
    owner.try_post(&format!("{key}/revoke"), &json!({"reason": third, "unknown": second})).unwrap();
    owner.try_post("/v1/workspaces/acme/keys", &json!({"name": third, "environment": third})).unwrap();
    let broken = crate::client::Client::new(dev.url(), format!("\"{third}\""));
    broken.get("/v1/whoami");
    let metrics = admin.get_text("/metrics");
    eventually("usage is flushed", || {
        let text = admin.get_text("/metrics");
        (!text.contains("usage_flushed_total{code=\"valid\"} 0")).then_some(())
    });
    let secrets: Vec<(&str, String)> = vec![
        ("first", first),
        ("second", second),
        ("third", third),
        ("management", dev.text("/management_key")),
        ("operator", dev.text("/operator_key")),
        ("api key", dev.text("/api_key/secret")),
        ("password", dev.text("/owner/password")),
    ];
    let log = dev.stop();
    assert!(log.lines().count() > 12, "the run was logged: {log}");
    let data = directory.path().join("data");
    let pepper = fs::read_to_string(data.join("peppers.toml")).unwrap();
    let pepper =
        pepper.lines().find_map(|line| line.strip_prefix("secret = \"")).unwrap().trim_end_matches('"');
    let signing_key = fs::read_to_string(data.join("audit-signing-key")).unwrap();
    for (name, secret) in secrets
        .iter()
        .map(|(name, secret)| (*name, &**secret))
        .chain([("pepper", pepper), ("signing key", signing_key.trim())])
    {
        // What follows prefix and locator is secret on its own.
        let part = if secret.starts_with("sk_") || secret.starts_with("ok_") {
            &secret[secret.len() - 30..secret.len() - 6]
        } else {
            secret
        };
        assert!(!log.contains(part), "{name} in the log");
        assert!(!metrics.contains(part), "{name} in the metrics");
        for (path, bytes) in files(&data) {
            let is_its_place = match name {
                "pepper" => path.ends_with("peppers.toml"),
                "signing key" => path.ends_with("audit-signing-key"),
                _ => path.ends_with("dev-credentials.json"),
            };
            let is_there = bytes.windows(part.len()).any(|window| window == part.as_bytes());
            assert!(!is_there || is_its_place, "{name} in {path}");
        }
    }
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
        }
    }
    found
}
