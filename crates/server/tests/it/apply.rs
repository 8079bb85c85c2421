//! An installation as a file: exported, applied, and rebuilt from it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use keywright_domain::time::Clock as _;
use serde_json::Value;

use crate::{
    cli::Shell,
    process::{Dev, directory},
};

/// More than one of everything.
const WANTED: &str = r#"
version = 1

[permissions]
"reports:export" = "Download reports"

[plans.gold]
description = "More."
key_limits = ["minute=5000/60s", "burst=50/1s:smooth"]
workspace_limits = ["day=1000000/1d"]

[workspaces.shop]
name = "The Shop"
plan = "gold"

[workspaces.shop.policy]
max_key_days = 365
idle_days = 90
idle_action = "disable"
allowed_permissions = ["prompts:read", "reports:export"]
rotation = { production = "30d", ci = "none", staging = "2mo" }

[workspaces.shop.members."ada@shop.example"]
role = "admin"

[workspaces.shop.keys.web]
environment = "production"
purpose = "The web shop"
permissions = ["prompts:read", "reports:export"]
expires_at = "END"
limits = ["minute=10/60s"]
allowed_ips = ["127.0.0.0/8"]
external_id = "cust_42"
metadata = { team = "web", levels = [1, 2.5], nested = { deep = true } }

[workspaces.shop.keys.off]
environment = "ci"
expires_at = "END"
disabled = true
service_account = "api@shop.example"

[workspaces.shop.service_accounts."api@shop.example"]
name = "api"
owning_team = "platform"

[workspaces.shop.service_accounts."idle@shop.example"]
name = "idle"
role = "member"
permissions = ["prompts:read"]
disabled = true

[workspaces.closed]
suspended = true
"#;

fn wanted() -> String {
    let end = in_days(100);
    WANTED.replace("END", &end)
}

/// A date so many days ahead, as the file writes it.
fn in_days(days: i64) -> String {
    keywright_engine::SystemClock.now().plus_seconds(days * 86_400).to_rfc3339()
}

fn apply(shell: &mut Shell<'_>, file: &Path, more: &[&str]) -> crate::cli::Answer {
    let front = ["apply", "-f", file.to_str().unwrap()];
    shell.run(&[&front[..], more].concat(), "")
}

fn read_secrets(file: &Path) -> Vec<Value> {
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "secrets are for their owner only");
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_file_builds_an_installation_and_rebuilds_it_elsewhere() {
    let (here, there) = (directory(), directory());
    let place = |name: &str| here.path().join(name);
    let (file, secrets, exported) = (place("wanted.toml"), place("secrets.json"), place("exported.toml"));
    let text = wanted();
    fs::write(&file, &text).unwrap();
    let dev = Dev::start(here.path());
    let mut shell = Shell::of_operator(&dev);

    let dry = apply(&mut shell, &file, &["--dry-run"]);
    assert_eq!(dry.code, Some(2), "there are differences: {}{}", dry.out, dry.err);
    assert!(dry.out.contains("+ workspace shop") && dry.out.contains("+ key shop/web"), "{}", dry.out);
    assert!(
        dry.out.contains("9 to add, 1 to change, 0 to remove") && dry.err.is_empty(),
        "{}{}",
        dry.out,
        dry.err
    );
    let unasked = apply(&mut shell, &file, &[]);
    assert!(unasked.code == Some(2) && unasked.err.contains("--yes"), "{}", unasked.err);

    let done = apply(&mut shell, &file, &["--yes", "--secrets", secrets.to_str().unwrap()]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(done.err.contains("~ workspace closed  (in force on 1 node(s)"), "{}", done.err);
    let issued = read_secrets(&secrets);
    let secret = |name: &str| {
        let one = issued.iter().find(|one| one["name"] == name).unwrap();
        one["secret"].as_str().unwrap().to_owned()
    };
    for text in [&done.out, &done.err] {
        assert!(!text.contains(&secret("web")), "a secret goes to its file only");
    }
    let verdict = |name: &str| {
        let body = serde_json::json!({"key": secret(name), "client_ip": "127.0.0.1"});
        dev.operator().post("/v1/keys/verify", &body, 200)
    };
    let web = verdict("web");
    assert_eq!((&web["code"], &web["external_id"]), (&Value::from("valid"), &Value::from("cust_42")));
    assert_eq!(
        web["metadata"],
        serde_json::json!({"team": "web", "levels": [1, 2.5], "nested": {"deep": true}})
    );
    assert_eq!(verdict("off")["code"], "disabled_key");
    assert!(secret("ada@shop.example").contains("/invite#"), "somebody who is not there is invited");

    let again = apply(&mut shell, &file, &["--dry-run"]);
    assert_eq!(again.code, Some(0), "nothing is left to do: {}", again.out);
    let export = shell.works(&["export", "--keys", "--people"], "");
    assert!(
        export.contains("service_account = \"api@shop.example\"")
            && export.contains("role = \"owner\"")
            && export.contains("ada@shop.example"),
        "{export}"
    );
    assert!(issued.iter().all(|one| !export.contains(one["secret"].as_str().unwrap())));
    fs::write(&exported, &export).unwrap();
    let own = apply(&mut shell, &exported, &["--dry-run", "--prune"]);
    assert_eq!(own.code, Some(0), "the own export changes nothing: {}{}", own.out, own.err);

    rebuilt(there.path(), &exported, &export);
    changed(&mut shell, &file, &text);
    dev.stop();
}

/// Applied to another installation, the export makes it the same.
fn rebuilt(directory: &Path, exported: &Path, export: &str) {
    let dev = Dev::start(directory);
    let mut shell = Shell::of_operator(&dev);
    let done = apply(&mut shell, exported, &["--yes", "--json"]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&answer["applied"], answer["secrets"].as_array().unwrap().len()), (&Value::from(true), 3));
    assert_eq!(shell.works(&["export", "--keys", "--people"], ""), export);
    dev.stop();
}

/// A changed file changes what it says, and removes only what it is told to.
fn changed(shell: &mut Shell<'_>, file: &Path, text: &str) {
    let text = text.replace("max_key_days = 365", "max_key_days = 200").replace("\"The Shop\"", "\"Shop\"");
    let text = text
        .replace("purpose = \"The web shop\"\n", "")
        .replace("[workspaces.closed]\nsuspended = true\n", "");
    fs::write(file, text).unwrap();
    let dry = apply(shell, file, &["--dry-run", "--json"]);
    let answer: Value = serde_json::from_str(&dry.out).unwrap();
    assert_eq!((dry.code, answer["changes"].as_array().unwrap().len()), (Some(2), 2), "{}", dry.out);
    let done = apply(shell, file, &["--yes"]);
    assert!(done.err.contains("in force on 1 node(s)"), "a shorter life comes with a receipt: {}", done.err);
    let pruned = apply(shell, file, &["--prune", "--dry-run"]);
    assert!(
        pruned.out.contains("- workspace closed") && pruned.out.contains("- workspace acme"),
        "{}",
        pruned.out
    );

    fs::write(file, "[workspaces.shop]\nplann = \"gold\"\n").unwrap();
    let wrong = apply(shell, file, &["--dry-run"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("wanted.toml:2:1: unknown key `plann`"), "{}", wrong.err);
}
