//! The command line against a running server, and beside it.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use serde_json::Value;

use crate::process::{Dev, directory, keywright, run};

/// What a command answered.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command line with the credential of the owner or the operator, and all that was ever said.
pub(crate) struct Shell<'a> {
    dev: &'a Dev,
    credential: &'static str,
    heard: String,
}

impl<'a> Shell<'a> {
    /// The command line of the operator.
    pub(crate) const fn of_operator(dev: &'a Dev) -> Self {
        Self { dev, credential: "/operator_key", heard: String::new() }
    }
}

impl Shell<'_> {
    pub(crate) fn run(&mut self, arguments: &[&str], input: &str) -> Answer {
        let mut child = keywright()
            .args(arguments)
            .env("KEYWRIGHT_URL", self.dev.url())
            .env("KEYWRIGHT_API_KEY", self.dev.text(self.credential))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let answer = Answer {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        self.heard += &answer.err;
        answer
    }

    /// Runs a command that must work, and returns its standard output.
    pub(crate) fn works(&mut self, arguments: &[&str], input: &str) -> String {
        let answer = self.run(arguments, input);
        assert_eq!(answer.code, Some(0), "{arguments:?}: {}{}", answer.out, answer.err);
        answer.out
    }
}

fn verdict(shell: &mut Shell<'_>, secret: &str) -> String {
    let answer = shell.run(&["keys", "verify", "--cost", "0", "--json"], secret);
    let json: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(answer.code, Some(i32::from(json["valid"] != true)));
    json["code"].as_str().unwrap().to_owned()
}

#[test]
fn the_life_of_a_key() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let mut shell = Shell { dev: &dev, credential: "/management_key", heard: String::new() };
    let arguments =
        ["keys", "create", "shop", "--env", "production", "--limit", "minute=50/60s", "--expires", "90d"];
    let first = shell.works(&arguments, "").trim().to_owned();
    assert_eq!(first.len(), 50);
    let list: Value =
        serde_json::from_str(&shell.works(&["keys", "list", "--name", "shop", "--json"], "")).unwrap();
    let id = list["data"][0]["id"].as_str().unwrap();
    assert_eq!(verdict(&mut shell, &first), "valid");

    let second = shell.works(&["keys", "rotate", id, "--overlap", "1h"], "").trim().to_owned();
    assert_eq!((verdict(&mut shell, &first), verdict(&mut shell, &second)), ("valid".into(), "valid".into()));
    shell.works(&["keys", "complete-rotation", id, "--yes"], "");
    assert_eq!(
        (verdict(&mut shell, &first), verdict(&mut shell, &second)),
        ("revoked_key".into(), "valid".into())
    );
    shell.works(&["keys", "disable", id], "");
    assert_eq!(verdict(&mut shell, &second), "disabled_key");
    shell.works(&["keys", "enable", id], "");
    shell.works(&["keys", "update", id, "--name", "shop-2", "--no-expiry"], "");
    assert!(shell.works(&["keys", "get", id], "").contains("shop-2"));

    let third = shell.works(&["keys", "compromise", id, "--reason", "leaked", "--yes"], "").trim().to_owned();
    assert_eq!(
        (verdict(&mut shell, &second), verdict(&mut shell, &third)),
        ("revoked_key".into(), "valid".into())
    );
    assert!(shell.works(&["incidents", "list"], "").contains("leaked"));
    let refused = shell.run(&["keys", "revoke", id], "yes\n");
    assert_eq!(refused.code, Some(2), "nobody can be asked: {}", refused.err);
    assert!(shell.works(&["keys", "bulk-revoke", "--name", "shop", "--yes"], "").contains("Revoked 1 key"));
    assert_eq!(verdict(&mut shell, &third), "revoked_key");
    shell.works(&["keys", "delete", id, "--yes"], "");
    assert_eq!(shell.run(&["keys", "get", id], "").code, Some(5));

    for secret in [&first, &second, &third] {
        assert!(!shell.heard.contains(secret.as_str()), "a secret on standard error");
    }
    dev.stop();
}

#[test]
fn the_installation() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let mut shell = Shell { dev: &dev, credential: "/operator_key", heard: String::new() };
    assert!(shell.works(&["whoami"], "").contains("operator"));
    shell.works(&["plans", "put", "gold", "--key-limit", "minute=5000/60s"], "");
    assert!(shell.works(&["plans", "list"], "").contains("minute=5000/60s"));
    shell.works(&["workspaces", "create", "beta", "--plan", "gold"], "");
    shell.works(&["workspaces", "suspend", "beta", "--yes"], "");
    shell.works(&["workspaces", "resume", "beta"], "");
    shell.works(&["workspaces", "policy", "beta", "--max-key-life", "30d", "--yes"], "");
    let policy = shell.works(&["workspaces", "policy", "beta"], "");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(policy.lines().any(|line| words(line) == ["max_key_days", "30"]), "{policy}");
    shell.works(&["workspaces", "rename", "beta", "gamma"], "");
    assert!(shell.works(&["workspaces", "get", "beta"], "").contains("gamma"));
    assert_eq!(shell.run(&["workspaces", "delete", "gamma"], "gamma\n").code, Some(2), "nobody can be asked");
    let deleted = shell.works(&["workspaces", "delete", "gamma", "--confirm", "gamma", "--grace", "7d"], "");
    assert!(
        deleted.contains("It can be restored until") && deleted.contains("In force on 1 node"),
        "{deleted}"
    );
    shell.works(&["workspaces", "restore", "gamma"], "");
    shell.works(&["workspaces", "rename", "gamma", "beta"], "");
    assert_eq!(shell.run(&["plans", "delete", "gold", "--yes"], "").code, Some(5), "a workspace is on it");
    shell.works(&["workspaces", "update", "beta", "--plan", "standard"], "");
    shell.works(&["plans", "delete", "gold", "--yes"], "");
    shell.works(&["permissions", "put", "reports:export", "--description", "Download reports"], "");
    assert!(shell.works(&["permissions", "list"], "").contains("reports:export"));
    let credential = shell.works(&["operators", "create", "ci"], "");
    assert!(credential.starts_with("ok_") && credential.trim().len() == 45);

    let trail = directory.path().join("trail.ndjson");
    let export = shell.works(&["audit", "export"], "");
    fs::write(&trail, export.replace("reports:export", "reports:import")).unwrap();
    assert!(shell.works(&["audit", "verify", "--file", "-"], &export).contains("is whole"));
    shell.works(&["audit", "verify"], "");
    let broken = shell.run(&["audit", "verify", "--file", trail.to_str().unwrap()], "");
    assert!(broken.code == Some(3) && broken.err.contains("does not follow"), "{}", broken.err);
    dev.stop();
}

fn exit(arguments: &[&str]) -> Option<i32> {
    run(arguments).status.code()
}

#[test]
fn beside_a_running_server() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (data, copy, new) = (path("data"), path("copy.db"), path("new"));
    let secret = dev.text("/api_key/secret");
    assert_eq!(exit(&["audit", "verify", "--data", &data]), Some(0));
    assert_eq!(exit(&["doctor", "--data", &data, "--url", &dev.url()]), Some(0));
    assert_eq!(exit(&["backup", "--data", &data, "--to", &copy, "--include-keys"]), Some(0));
    dev.owner().post(
        &format!("/v1/workspaces/acme/keys/{}/revoke", dev.text("/api_key/id")),
        &serde_json::json!({}),
        200,
    );
    dev.stop();

    assert_eq!(exit(&["restore", "--from", &copy, "--data", &new]), Some(0));
    assert_eq!(exit(&["restore", "--from", &copy, "--data", &new]), Some(1), "it is not empty");
    assert_eq!(exit(&["doctor", "--data", &new]), Some(0));
    assert_eq!(exit(&["audit", "verify", "--data", &new]), Some(0));

    let found = scan(directory.path(), &secret);
    assert!(found.contains("high: live key, confirmed") && !found.contains(&secret[20..44]), "{found}");
}

fn scan(directory: &Path, secret: &str) -> String {
    let file = directory.join("settings.py");
    fs::write(&file, format!("KEY = '{secret}'\n")).unwrap();
    let output = run(&["scan", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    String::from_utf8(output.stdout).unwrap()
}
