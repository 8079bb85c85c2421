//! Nodes that join: they have the secrets of the others or do not start, and a start outlives an outage of the database.

use std::{fs, path::Path};

use keywright_testkit::PostgresServer;
use serde_json::json;

use crate::{
    nodes::{Installation, Node, free_address, private, shared},
    process::{eventually, said},
};

/// Launches a node that must not start; what it said.
fn refused(installation: &Installation, name: &str) -> String {
    let mut node = Node::launch(&config(installation, name), &free_address(), "", &["--start-timeout", "20"]);
    assert_eq!(node.ended(), Some(65), "{}", node.log());
    node.log()
}

fn config(installation: &Installation, name: &str) -> std::path::PathBuf {
    installation.directory.path().join(format!("{name}.toml"))
}

fn signing_key(installation: &Installation, name: &str) -> std::path::PathBuf {
    installation.directory.path().join(format!("data-{name}")).join("audit-signing-key")
}

#[test]
fn where_nothing_is_set_up_it_is_said_how() {
    let installation = Installation::empty(shared().url());
    let config = installation.configure("a", &free_address());
    let status = installation.run(&["cluster", "status", "--config", "a.toml"]);
    assert_eq!(status.status.code(), Some(69), "{}", said(&status));
    assert!(said(&status).contains("there is no installation in this schema"), "{}", said(&status));
    assert!(said(&status).contains("`keywright init` makes one"), "{}", said(&status));
    let text = fs::read_to_string(&config).unwrap();
    for (table, what) in [("[[peppers]]", "pepper file"), ("[[encryption_keys]]", "key file")] {
        let (before, after) = text.split_once(table).unwrap();
        private(&config, &format!("{before}{table}{}", after.replacen("\"pepper\"", "\"missing\"", 1)));
        let init = installation.run(&["init", "--config", "a.toml"]);
        assert_eq!(init.status.code(), Some(66), "{}", said(&init));
        for part in [format!("there is no {what} "), "openssl rand -hex 32 > ".to_owned()] {
            assert!(said(&init).contains(&part), "{part}: {}", said(&init));
        }
    }
}

#[test]
fn a_node_with_another_pepper_does_not_start() {
    let installation = Installation::set_up(shared());
    let a = installation.start("a");
    let (_, secret) = a.operator.create("stored by a");
    let of_b = installation.configure("b", &free_address());
    private(&of_b.with_file_name("other-pepper"), &"5b".repeat(32));
    let text = fs::read_to_string(&of_b).unwrap();
    let peppers = "[[peppers]]\nversion = 1\nfile = \"pepper\"";
    fs::write(&of_b, text.replace(peppers, "[[peppers]]\nversion = 1\nfile = \"other-pepper\"")).unwrap();
    let log = refused(&installation, "b");
    assert!(log.contains("the pepper of version 1"), "{log}");
    assert!(log.contains("copy the pepper from where another node has it"), "{log}");
    assert!(!log.contains(&"5b".repeat(8)) && !log.contains(&"5a".repeat(8)), "no pepper is shown: {log}");
    // Under a new version it is a new pepper, and then it is everybody's.
    let both = format!("{peppers}\n[[peppers]]\nversion = 2\nfile = \"other-pepper\"");
    fs::write(&of_b, text.replace(peppers, &both)).unwrap();
    let b = Node::launch(&of_b, listen_of(&text), &installation.operator, &[]);
    b.wait_ready();
    assert_eq!(b.verify(&secret), "valid");
    let of_c = installation.configure("c", &free_address());
    private(&of_c.with_file_name("third-pepper"), &"5c".repeat(32));
    let third = both.replace("other-pepper", "third-pepper");
    fs::write(&of_c, fs::read_to_string(&of_c).unwrap().replace(peppers, &third)).unwrap();
    assert!(refused(&installation, "c").contains("the pepper of version 2"));
}

/// The address in a configuration.
fn listen_of(text: &str) -> &str {
    text.split('"').nth(1).unwrap()
}

#[test]
fn a_node_with_another_signing_key_does_not_start() {
    let installation = Installation::set_up(shared());
    installation.start("a").stop();
    installation.configure("b", &free_address());
    let key = signing_key(&installation, "b");
    let good = fs::read_to_string(&key).unwrap();
    private(&key, &"b6".repeat(32));
    let log = refused(&installation, "b");
    assert!(log.contains("is another than that of the other nodes"), "{log}");
    assert!(log.contains("copy audit-signing-key from the data directory of another node"), "{log}");
    assert!(!log.contains(&"b6".repeat(8)), "{log}");
    fs::remove_file(&key).unwrap();
    let log = refused(&installation, "b");
    assert!(log.contains("there is no audit signing key"), "{log}");
    assert!(!key.exists(), "none is made in its place");
    private(&key, &good);
    installation.start("b").stop();
    // No node has the key any more: another one is adopted, and then it is the one that counts.
    fs::remove_file(&key).unwrap();
    let adopted = installation.run(&["cluster", "adopt-signing-key", "--config", "b.toml"]);
    assert!(adopted.status.success(), "{}", said(&adopted));
    assert!(String::from_utf8_lossy(&adopted.stdout).contains("from now on"), "{}", said(&adopted));
    let mut b = installation.start("b");
    assert!(refused(&installation, "a").contains("is another than that of the other nodes"));
    copy(&key, &signing_key(&installation, "a"));
    installation.start("a").stop();
    b.stop();
}

fn copy(from: &Path, to: &Path) {
    private(to, &fs::read_to_string(from).unwrap());
}

#[test]
fn a_database_that_is_lost_in_the_middle_of_a_start_is_waited_for() {
    let server = PostgresServer::start();
    let installation = Installation::set_up(&server);
    // Before the node has registered it counts the keys, after that it loads them: both wait for the lock.
    for (name, table) in [("counting", "keys"), ("loading", "memberships")] {
        let schema = installation.schema();
        let hold =
            format!("BEGIN; LOCK TABLE {schema}.{table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)");
        let node = std::thread::scope(|scope| {
            let holder = scope.spawn(|| server.try_sql(&hold));
            eventually("the lock is held", || (locks(&server, "granted") > 0).then_some(()));
            let node = installation.launch(name, &[]);
            eventually("the node waits", || (locks(&server, "NOT granted") > 0).then_some(()));
            server.stop_immediate();
            drop(holder.join());
            node.wait_log("waiting for the database");
            node
        });
        let (status, body) = eventually("it answers", || node.anyone().try_get("/readyz").ok());
        assert_eq!(status, 503, "{body}");
        assert_eq!(node.anyone().try_get("/healthz").unwrap().0, 200, "it lives");
        server.start_again();
        node.wait_ready();
        let body = json!({"name": "after", "environment": "production"});
        assert_eq!(node.operator.try_post("/v1/workspaces/acme/keys", &body).unwrap().0, 201);
    }
}

/// Locks of whole tables that are held or waited for.
fn locks(server: &PostgresServer, which: &str) -> u32 {
    let sql = format!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND {which} AND relation > 16383 \
         AND (mode = 'AccessExclusiveLock' OR NOT granted)"
    );
    server.sql(&sql).trim().parse().unwrap()
}
