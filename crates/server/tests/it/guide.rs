//! The commands of the guide to several nodes, as they stand there.

use std::{fs, net::TcpListener, path::Path, process::Command};

use keywright_testkit::free_port;

use crate::{
    nodes::shared,
    process::{directory, said},
};

/// The commands of the guide's first two console blocks, one after the other.
fn commands() -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/cluster.md");
    let text = fs::read_to_string(guide).unwrap();
    let mut commands: Vec<String> = Vec::new();
    for block in text.split("```console\n").skip(1).take(2) {
        for line in block.split("\n```").next().unwrap().lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push(command.to_owned());
            } else {
                let command = commands.last_mut().unwrap();
                command.push('\n');
                command.push_str(line);
            }
        }
    }
    commands
}

/// The first digits of three free ports that end in 1, 2 and 3.
fn ports() -> String {
    loop {
        let ten = free_port() / 10;
        if (1..=3).all(|last| TcpListener::bind(("127.0.0.1", ten * 10 + last)).is_ok()) {
            return ten.to_string();
        }
    }
}

/// What a command does, and how a script says it that goes on with what it prints.
fn step(command: &str) -> (&'static str, String) {
    let is = |word: &str| command.contains(word);
    if is("export KEYWRIGHT_DATABASE_URL=") {
        // The test's own is in the environment.
        ("database", String::new())
    } else if is("cluster status") {
        let status = format!("until [ \"$({command} | grep -c 'node-[123]')\" = 3 ]; do sleep 0.2; done");
        ("status", status)
    } else if is("/keys/verify") {
        let verify = command.replace("sk_live_…", "'\"$secret\"'");
        ("verify", format!("until {verify} | grep -q '\"code\":\"valid\"'; do sleep 0.2; done"))
    } else if is("/revoke") {
        ("revoke", command.replace("key_…", "$key"))
    } else if is("/acme/keys ") {
        let first = |pattern: &str| format!("$(grep -oE '{pattern}' <<<\"$created\" | head -1)");
        let (secret, key) = (first("sk_live_[0-9A-Za-z]{42}"), first("key_[0-9a-z]{26}"));
        ("create", format!("created=$({command})\nsecret={secret}\nkey={key}"))
    } else if is("keywright serve") {
        ("serve", command.to_owned())
    } else {
        ("prepare", command.to_owned())
    }
}

#[test]
fn three_nodes_are_set_up_by_the_commands_of_the_guide() {
    let (public, admin) = (ports(), ports());
    let mut script =
        String::from("set -eu\nexport PATH=\"$PROGRAMS:$PATH\"\ntrap 'kill $(jobs -p); wait' EXIT\n");
    let mut found = Vec::new();
    for command in commands() {
        let (name, command) = step(&command);
        found.push(name);
        let command = command.replace("127.0.0.1:808", &format!("127.0.0.1:{public}"));
        script.push_str(&command.replace("127.0.0.1:909", &format!("127.0.0.1:{admin}")));
        script.push('\n');
    }
    found.dedup();
    let expected = ["database", "prepare", "serve", "status", "prepare", "create", "verify", "revoke"];
    assert_eq!(found, expected, "{script}");
    let directory = directory();
    let output = Command::new("timeout")
        .args(["60", "bash", "-c", &script])
        .current_dir(directory.path())
        .env("PROGRAMS", Path::new(env!("CARGO_BIN_EXE_keywright")).parent().unwrap())
        .env("KEYWRIGHT_DATABASE_URL", shared().url())
        .env("KEYWRIGHT_DATABASE_SCHEMA", "guide")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).replace(' ', "");
    let is_everywhere = told.contains(r#""nodes":3"#) && told.contains(r#""silent":0"#);
    assert!(output.status.success() && is_everywhere, "{}", said(&output));
}
