//! The promise in force is shown where people and machines look: `/readyz`, metrics, `cluster status`, `doctor`. And the
//! self-audit asks the nodes whether it is kept.

use std::fs;

use keywright_testkit::PostgresServer;
use serde_json::Value;

use crate::{
    client::Client,
    nodes::{Installation, Node, free_address, shared},
    process::{eventually, run},
};

/// What `keywright doctor` finds of the promise: state and text.
fn doctor(server: &PostgresServer) -> (String, String) {
    let output = run(&["doctor", "--database", &server.url(), "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let promise = findings.iter().find(|finding| finding["check"] == "promise").unwrap();
    let member = |name: &str| promise[name].as_str().unwrap().to_owned();
    (member("state"), member("found"))
}

/// A node whose admin listener is on.
fn with_metrics(installation: &Installation, name: &str) -> (Node, Client) {
    let (listen, admin) = (free_address(), free_address());
    let config = installation.configure(name, &listen);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("admin_listen = \"off\"", &format!("admin_listen = {admin:?}"))).unwrap();
    let node = Node::launch(&config, &listen, &installation.operator, &[]);
    node.wait_ready();
    (node, Client::new(format!("http://{admin}"), String::new()))
}

fn assert_shown(installation: &Installation, node: &Node, admin: &Client, promise: &str) {
    let name = node.config.file_name().unwrap().to_str().unwrap();
    eventually("health tells the promise", || {
        let (_, health) = node.anyone().get("/readyz");
        (health["node"]["promise"] == promise).then_some(())
    });
    let metrics = admin.get_text("/metrics");
    for word in ["strict", "best_effort_across_failover", "none"] {
        let expected =
            format!("keywright_cluster_promise{{promise=\"{word}\"}} {}", u8::from(word == promise));
        assert!(metrics.contains(&expected), "{expected} in\n{metrics}");
    }
    let status = installation.run(&["cluster", "status", "--json", "--config", name]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["promise"]["in_force"], promise);
}

#[test]
fn a_standby_that_commits_do_not_wait_for_weakens_the_promise() {
    let server = PostgresServer::start();
    let installation = Installation::set_up(&server);
    assert_eq!(doctor(&server), ("ok".to_owned(), "strict".to_owned()));
    let _standby = server.standby("second");
    let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    eventually("it follows", || (server.sql(streaming) == "1").then_some(()));
    let (state, found) = doctor(&server);
    assert_eq!(state, "warn");
    assert!(found.starts_with("best effort across failover: a standby follows"), "{found}");
    let (node, admin) = with_metrics(&installation, "a");
    assert_shown(&installation, &node, &admin, "best_effort_across_failover");
    // Commits that wait for it make it whole again.
    server.configure(&[("synchronous_standby_names", "*")]);
    server.reload();
    eventually("it is strict", || (doctor(&server).1 == "strict").then_some(()));
}

#[test]
fn a_server_that_does_not_flush_promises_nothing() {
    for setting in ["fsync", "full_page_writes"] {
        let server = PostgresServer::start_with(&[(setting, "off")]);
        let (state, found) = doctor(&server);
        assert_eq!(state, "fail");
        assert!(found.contains(&format!("{setting} = off")), "{found}");
        let installation = Installation::empty(server.url());
        let mut node = installation.launch("a", &["--start-timeout", "5"]);
        assert_eq!(node.ended(), Some(65), "{}", node.log());
        assert!(node.log().contains("switch it on in postgresql.conf"), "{}", node.log());
    }
}

#[test]
fn every_revocation_is_followed_by_a_question_to_every_node() {
    let installation = Installation::set_up(shared());
    let (a, admin) = with_metrics(&installation, "a");
    let b = installation.start("b");
    assert_shown(&installation, &a, &admin, "strict");
    let (id, secret) = a.operator.create("audited");
    b.wait_valid(&secret);
    let (status, answer, _) = a.revoke(&id);
    assert_eq!(status, 200, "{answer}");
    let metrics = eventually("both nodes were asked", || {
        let metrics = admin.get_text("/metrics");
        metrics.contains("keywright_self_audits_total{outcome=\"passed\"} 2").then_some(metrics)
    });
    assert!(metrics.contains("keywright_revocation_violations_total 0"), "{metrics}");
}
