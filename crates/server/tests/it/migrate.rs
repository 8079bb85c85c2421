//! `keywright migrate`: a real installation moves to PostgreSQL and back.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    nodes::{Node, free_address, shared},
    process::{Dev, directory, keywright, said},
};

/// The places of a move.
struct Places {
    directory: PathBuf,
    schema: String,
}

impl Places {
    fn command(&self, from: &str, to: &str) -> std::process::Command {
        let mut command = keywright();
        command.args(["migrate", "--json", "--schema", &self.schema, "--from", from, "--to", to]);
        command.env("KEYWRIGHT_DATABASE_URL", shared().url());
        command
    }

    fn there(&self) -> std::process::Command {
        self.command(self.directory.to_str().unwrap(), DATABASE)
    }

    fn back(&self, to: &Path) -> std::process::Command {
        self.command(DATABASE, to.to_str().unwrap())
    }

    /// A node on the database, with the old data directory.
    fn node(&self, operator: &str) -> Node {
        let listen = free_address();
        let config = self.directory.with_extension("toml");
        let text = format!(
            "listen = {listen:?}\nadmin_listen = \"off\"\ndata_dir = \"{}\"\nworkers = 1\n\n\
             [database]\nurl = {:?}\nschema = {:?}\n\n[node]\nname = \"a\"\nadvertise = \"http://{listen}\"\n",
            self.directory.display(),
            shared().url(),
            self.schema
        );
        fs::write(&config, text).unwrap();
        fs::set_permissions(
            &config,
            <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600),
        )
        .unwrap();
        let node = Node::launch(&config, &listen, operator, &[]);
        node.wait_ready();
        node
    }
}

const DATABASE: &str = "env:KEYWRIGHT_DATABASE_URL";

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output, word: &str) {
    let said = said(output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(word), "{said}");
    assert!(!said.contains(shared().password()), "{said}");
}

#[test]
fn an_installation_moves_to_postgresql_and_back() {
    let parent = directory();
    let dev = Dev::start(parent.path());
    let owner = dev.owner();
    let operator = dev.text("/operator_key");
    let keys: Vec<_> = (0..20).map(|number| owner.create(&format!("key {number}"))).collect();
    let revoke = format!("/v1/workspaces/acme/keys/{}/revoke", keys[3].0);
    owner.post(&revoke, &json!({"reason": "test"}), 200);
    assert_eq!(owner.verify(&keys[4].1), "valid");
    let places = Places { directory: parent.path().join("data"), schema: "migrate_round".to_owned() };
    refused(&places.there().output().unwrap(), "in use by process");
    dev.stop();

    let moved = answer(&places.there().output().unwrap());
    assert_eq!(moved["result"], "moved");
    let again = answer(&places.there().output().unwrap());
    assert_eq!(again["result"], "moved_before");
    let served = keywright()
        .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(&places.directory)
        .output()
        .unwrap();
    refused(&served, "was moved to the PostgreSQL database postgres on 127.0.0.1");

    let mut node = places.node(&operator);
    assert_eq!(node.verify(&keys[3].1), "revoked_key");
    assert_eq!(node.verify(&keys[4].1), "valid");
    refused(&places.back(&parent.path().join("back")).output().unwrap(), "in use by node a");
    node.stop();

    let to = parent.path().join("back");
    let back = answer(&places.back(&to).output().unwrap());
    assert_eq!(back["result"], "moved");
    let digest = |of: &Value, table: &str| {
        let tables = of["tables"].as_array().unwrap().clone();
        tables.into_iter().find(|found| found["table"] == table).unwrap()
    };
    for table in ["keys", "secrets", "workspaces", "plans"] {
        assert_eq!(digest(&back, table), digest(&moved, table));
    }
    for file in [
        "peppers.toml",
        "pepper-check.toml",
        "encryption-keys.toml",
        "audit-signing-key",
        "dev-credentials.json",
    ] {
        fs::copy(places.directory.join(file), to.join(file)).unwrap();
    }
    let verified = keywright().args(["audit", "verify", "--data"]).arg(&to).output().unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
    let home = directory();
    fs::rename(&to, home.path().join("data")).unwrap();
    let dev = Dev::start(home.path());
    assert_eq!(dev.owner().verify(&keys[3].1), "revoked_key");
    assert_eq!(dev.owner().verify(&keys[4].1), "valid");
    dev.stop();
}

#[test]
fn killed_again_and_again_it_goes_on() {
    let parent = directory();
    let dev = Dev::start(parent.path());
    let owner = dev.owner();
    let keys: Vec<_> = (0..30).map(|number| owner.create(&format!("key {number}"))).collect();
    let operator = dev.text("/operator_key");
    dev.stop();
    let places = Places { directory: parent.path().join("data"), schema: "migrate_killed".to_owned() };
    for round in 0..12 {
        let mut command = places.there();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(20 * round));
        drop(child.kill());
        child.wait().unwrap();
    }
    let moved = answer(&places.there().output().unwrap());
    assert!(["moved", "moved_before"].contains(&moved["result"].as_str().unwrap()), "{moved}");
    let mut node = places.node(&operator);
    for (_, secret) in keys {
        assert_eq!(node.verify(&secret), "valid");
    }
    node.stop();
}
