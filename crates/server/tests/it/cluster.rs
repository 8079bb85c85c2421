//! Several nodes: when a revocation returned, no node accepts the key, whatever happens to nodes and to PostgreSQL.

use std::{fs, time::Duration};

use keywright_testkit::PostgresServer;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    client::created,
    nodes::{Installation, Node, free_address, shared},
    process::{eventually, said},
};

const SECOND: Duration = Duration::from_secs(1);
/// How long a revocation waits for a node with a lease of three seconds, and some time for slow machines.
const WAIT_SHORT: Duration = Duration::from_millis(4_250 + 3_000);

/// Creates a key on one node that the others know when this returns.
fn create(on: &Node, others: &[&Node]) -> (String, String) {
    let key = on.operator.create("clustered");
    for node in others {
        node.wait_valid(&key.1);
    }
    key
}

#[test]
fn what_one_node_takes_away_no_node_gives() {
    let installation = Installation::set_up(shared());
    let nodes = installation.start_three();
    for round in 0..24 {
        let [on, other, third] = [0, 1, 2].map(|offset| &nodes[(round + offset) % 3]);
        let (id, secret) = create(on, &[on, other, third]);
        let key = format!("/v1/workspaces/acme/keys/{id}");
        match round % 4 {
            0 | 1 => {
                let (status, answer, _) = other.revoke(&id);
                assert_eq!((status, &answer["effective"]["nodes"]), (200, &json!(3)), "{answer}");
            }
            2 => drop(other.operator.post(&format!("{key}/disable"), &json!({}), 200)),
            _ => assert_eq!(other.operator.delete(&key), 204),
        }
        let verdicts = nodes.each_ref().map(|node| node.verify(&secret));
        let expected = ["revoked_key", "revoked_key", "disabled_key", "invalid_key"][round % 4];
        assert!(verdicts.iter().all(|verdict| verdict == expected), "round {round}: {verdicts:?}");
    }
    // A member of another kind: the whole workspace.
    let (_, secret) = create(&nodes[0], &[&nodes[1], &nodes[2]]);
    let suspended = nodes[1].operator.try_patch("/v1/workspaces/acme", &json!({"suspended": true})).unwrap();
    assert_eq!(suspended.0, 200, "{}", suspended.1);
    for node in &nodes {
        assert_eq!(node.verify(&secret), "workspace_suspended");
    }
}

/// A Member is made Admin on one node, creates a key on another, and is made Viewer again or removed on the first.
#[test]
fn a_role_that_is_taken_away_counts_on_every_node_when_the_change_returns() {
    const WORKSPACE: &str = "/v1/workspaces/acme";
    let installation = Installation::set_up(shared());
    let nodes = installation.start_three();
    for round in 0..6 {
        let [a, b, c] = [0, 1, 2].map(|offset| &nodes[(round + offset) % 3]);
        let ada = json!({"email": format!("ada{round}@example.com"), "role": "member"});
        let sent = a.operator.post(&format!("{WORKSPACE}/invitations"), &json!({"invitations": [ada]}), 201);
        let link = sent["data"][0]["link"].as_str().unwrap();
        let body =
            json!({"token": link.split_once('#').unwrap().1, "password": "correct horse battery staple"});
        let joined = a.anyone().post("/v1/invitations/accept", &body, 200);
        let person = a.as_holder(&joined["token"]).get("/v1/account").1;
        let place = format!("{WORKSPACE}/members/{}", person["id"].as_str().unwrap());
        let with_receipt = |node: &Node, role: &str| {
            let (status, answer) = node.operator.try_patch(&place, &json!({"role": role})).unwrap();
            assert_eq!((status, &answer["effective"]["nodes"]), (200, &json!(3)), "{answer}");
        };
        with_receipt(b, "admin");
        let body = json!({"name": "of-ada", "environment": "production", "permissions": ["keys:read", "prompts:read"]});
        let (_, secret) =
            created(&c.as_holder(&joined["token"]).post(&format!("{WORKSPACE}/keys"), &body, 201));
        for node in &nodes {
            node.wait_valid(&secret);
        }
        let asked = json!({"key": secret, "permissions": ["keys:read"]});
        let verdicts = || {
            nodes.each_ref().map(|node| node.operator.post("/v1/keys/verify", &asked, 200)["code"].clone())
        };
        assert_eq!(verdicts(), ["valid"; 3]);
        if round % 2 == 0 {
            with_receipt(a, "viewer");
            assert_eq!(verdicts(), ["insufficient_permissions"; 3]);
            let shown = b.operator.post("/v1/keys/verify", &json!({"key": secret}), 200);
            assert_eq!((&shown["code"], &shown["permissions"]), (&json!("valid"), &json!(["prompts:read"])));
        } else {
            assert_eq!(a.operator.delete(&place), 200);
            assert_eq!(verdicts(), ["disabled_key"; 3]);
        }
    }
}

#[test]
fn a_killed_node_is_waited_for_once_and_not_at_all_when_its_end_is_known() {
    let installation = Installation::set_up(shared());
    let [a, b, mut c] = installation.start_three();
    a.set_lease(3);
    let keys: Vec<_> = (0..4).map(|_| create(&a, &[&b, &c])).collect();
    c.kill();
    let (status, answer, took) = a.revoke(&keys[0].0);
    assert_eq!((status, &answer["effective"]["silent"]), (200, &json!(1)), "{answer}");
    assert!(took > SECOND && took < WAIT_SHORT, "{took:?}");
    assert_eq!(b.verify(&keys[0].1), "revoked_key");
    // Now it is known to be silent.
    let (status, answer, took) = a.revoke(&keys[1].0);
    assert_eq!(status, 200, "{answer}");
    assert!(took < SECOND, "{took:?}");
    // Its restart proves that it has ended.
    let mut c = c.again();
    c.wait_ready();
    let (status, answer, took) = b.revoke(&keys[2].0);
    assert_eq!(
        (status, &answer["effective"]),
        (200, &json!({"nodes": 3, "silent": 0, "waited_ms": answer["effective"]["waited_ms"]}))
    );
    assert!(took < SECOND, "{took:?}");
    assert!(["valid", "revoked_key"].contains(&c.verify(&keys[2].1).as_str()));
    assert_eq!(c.verify(&keys[2].1), "revoked_key");
    // One that ends in order is not waited for.
    c.stop();
    let (status, answer, took) = b.revoke(&keys[3].0);
    assert_eq!((status, &answer["effective"]["nodes"]), (200, &json!(2)));
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn a_node_that_stands_still_for_longer_than_its_lease_accepts_nothing_when_it_goes_on() {
    let installation = Installation::set_up(shared());
    let [a, _b, c] = installation.start_three();
    a.set_lease(3);
    let (id, secret) = create(&a, &[&c]);
    c.signal(Signal::STOP);
    let (status, answer, took) = a.revoke(&id);
    assert_eq!(status, 200, "{answer}");
    assert!(took > SECOND && took < WAIT_SHORT, "{took:?}");
    c.signal(Signal::CONT);
    for _ in 0..50 {
        let verdict = c.verify(&secret);
        assert_ne!(verdict, "valid");
    }
    eventually("the node follows again", || (c.verify(&secret) == "revoked_key").then_some(()));
    // And it goes on as before.
    let (id, secret) = create(&a, &[&c]);
    assert_eq!(c.revoke(&id).0, 200);
    assert_eq!(a.verify(&secret), "revoked_key");
}

#[test]
fn a_caller_who_does_not_wait_is_told_whom_the_change_waits_for() {
    let installation = Installation::set_up(shared());
    let [a, b, c] = installation.start_three();
    a.set_lease(3);
    let (id, secret) = create(&a, &[&b, &c]);
    c.signal(Signal::STOP);
    let prefer = a.operator.clone().with_header("Prefer", "wait=0");
    let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
    let (status, answer) = prefer.try_post(&path, &json!({})).unwrap();
    assert_eq!(status, 202, "{answer}");
    assert!(answer.to_string().contains("\"c\""), "{answer}");
    eventually("the reachable node refuses", || (b.verify(&secret) == "revoked_key").then_some(()));
    c.signal(Signal::CONT);
}

#[test]
fn without_a_lease_each_verification_asks_the_database() {
    let server = PostgresServer::start();
    let installation = Installation::set_up(&server);
    let [a, b, c] = installation.start_three();
    a.set_lease(0);
    c.signal(Signal::STOP);
    for _ in 0..10 {
        // Gone at once, whoever is silent. (A key that a node has not heard of is another matter.)
        let (id, secret) = create(&a, &[&b]);
        let (status, answer, took) = a.revoke(&id);
        assert_eq!(status, 200, "{answer}");
        assert!(took < SECOND, "{took:?}");
        assert_eq!(b.verify(&secret), "revoked_key");
    }
    let (_, secret) = create(&a, &[&b]);
    server.stop();
    let (status, answer) = b.operator.try_post("/v1/keys/verify", &json!({"key": secret})).unwrap();
    assert!(status == 503 || answer["code"] == "unavailable", "{status} {answer}");
    c.signal(Signal::CONT);
    server.start_again();
    b.wait_valid(&secret);
}

#[test]
fn verification_outlives_the_database_for_a_while_and_revocation_says_that_it_did_not_happen() {
    let server = PostgresServer::start();
    let installation = Installation::set_up(&server);
    let [a, b, c] = installation.start_three();
    let (id, secret) = create(&a, &[&b, &c]);
    server.stop();
    for _ in 0..20 {
        assert_eq!(b.verify(&secret), "valid");
    }
    let (status, answer, _) = a.revoke(&id);
    assert_eq!(status, 503, "{answer}");
    assert_eq!(b.verify(&secret), "valid", "what did not happen did not happen");
    server.start_again();
    let revoked = eventually("revocation works again", || {
        let (status, answer, _) = a.revoke(&id);
        (status == 200).then_some(answer)
    });
    assert_eq!(revoked["effective"]["silent"], 0, "{revoked}");
    for node in [&a, &b, &c] {
        assert_eq!(node.verify(&secret), "revoked_key");
    }
    let body = json!({"name": "again", "environment": "production"});
    eventually("this node reaches the database, too", || {
        let (status, _) = b.operator.try_post("/v1/workspaces/acme/keys", &body).unwrap();
        (status == 201).then_some(())
    });
    let (id, secret) = create(&b, &[&c]);
    server.restart_immediate();
    eventually("revocation works after a crash", || (c.revoke(&id).0 == 200).then_some(()));
    assert_eq!(b.verify(&secret), "revoked_key");
}

#[test]
fn without_announcements_a_revocation_has_its_receipt_all_the_same() {
    let installation = Installation::set_up(shared());
    let nodes = ["a", "b", "c"].map(|name| {
        let listen = free_address();
        let config = installation.configure(name, &listen);
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("schema = ", "listen = false\nschema = ")).unwrap();
        Node::launch(&config, &listen, &installation.operator, &[])
    });
    nodes.iter().for_each(Node::wait_ready);
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %nodes_%'";
    let listening = listening.replace("%nodes_%", &format!("%{}_changes%", installation.schema()));
    assert_eq!(shared().sql(&listening), "0", "nobody listens");
    for round in 0..6 {
        let [on, other, third] = [0, 1, 2].map(|offset| &nodes[(round + offset) % 3]);
        let (id, secret) = create(on, &[on, other, third]);
        let (status, answer, _) = other.revoke(&id);
        assert_eq!((status, &answer["effective"]["nodes"]), (200, &json!(3)), "{answer}");
        let verdicts = nodes.each_ref().map(|node| node.verify(&secret));
        assert!(verdicts.iter().all(|verdict| verdict == "revoked_key"), "round {round}: {verdicts:?}");
    }
}

#[test]
fn two_nodes_of_one_name_are_two_nodes() {
    let installation = Installation::set_up(shared());
    let a = installation.start("same");
    let listen = free_address();
    let config = installation.configure("other", &listen);
    let text = fs::read_to_string(&config).unwrap().replace("name = \"other\"", "name = \"same\"");
    fs::write(&config, text).unwrap();
    let b = Node::launch(&config, &listen, &installation.operator, &[]);
    b.wait_ready();
    let (id, secret) = create(&a, &[&b]);
    // On a machine that is busy enough, the database may be too late for the first attempt.
    let (status, answer) = eventually("an answer that is no 503", || {
        let (status, answer, _) = a.revoke(&id);
        (status != 503).then_some((status, answer))
    });
    assert_eq!((status, &answer["effective"]["nodes"]), (200, &json!(2)));
    assert_eq!(b.verify(&secret), "revoked_key");
    // But not with one data directory.
    let text = fs::read_to_string(&config).unwrap().replace(&listen, &free_address());
    let second = config.with_file_name("second.toml");
    fs::write(&second, text).unwrap();
    let mut second = Node::launch(&second, &free_address(), "", &[]);
    assert_eq!(second.ended(), Some(75), "{}", second.log());
}

#[test]
fn a_database_that_is_down_at_the_start_is_waited_for() {
    let server = PostgresServer::start();
    let installation = Installation::set_up(&server);
    server.stop();
    let mut impatient = installation.launch("impatient", &["--start-timeout", "1"]);
    let patient = installation.launch("patient", &[]);
    assert_eq!(impatient.ended(), Some(69), "{}", impatient.log());
    assert!(impatient.log().contains("start the database"), "{}", impatient.log());
    let (status, body) = eventually("it answers", || patient.anyone().try_get("/readyz").ok());
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("the database is not open yet"), "{body}");
    assert_eq!(patient.anyone().try_get("/healthz").unwrap().0, 200);
    server.start_again();
    patient.wait_ready();
    assert_eq!(patient.operator.get("/v1/workspaces").1["data"][0]["slug"], "acme");
}

#[test]
fn databases_that_cannot_be_used() {
    let installation = Installation::set_up(shared());
    let refused = |from: &str, to: &str, code: i32, says: &str| {
        let config = installation.configure("refused", &free_address());
        let text = fs::read_to_string(&config).unwrap().replace(from, to);
        fs::write(&config, text).unwrap();
        let mut node = Node::launch(&config, &free_address(), "", &["--start-timeout", "5"]);
        assert_eq!(node.ended(), Some(code), "{}", node.log());
        let log = fs::read_to_string(config.with_extension("log")).unwrap();
        fs::remove_file(config.with_extension("log")).unwrap();
        assert!(log.contains(says), "{says}: {log}");
        assert!(!log.contains(shared().password()) && !log.contains("hunter2"), "{log}");
    };
    refused(shared().password(), "hunter2", 78, "refuses the user or the password");
    refused("/postgres\"", "/nowhere\"", 78, "create it, or name another");
    refused(
        "[[peppers]]\nversion = 1\nfile = \"pepper\"\n",
        "",
        66,
        "all nodes of an installation need the same",
    );
    refused("version = 1", "version = 2", 65, "stored under the pepper of version 1");
    refused(
        "[[encryption_keys]]\nversion = 7\nfile = \"pepper\"\n",
        "",
        66,
        "no key-encryption keys are configured",
    );
    refused("version = 7", "version = 8", 65, "the key-encryption key of version 7, which was not given");
    // A newer program was here.
    let schema = installation.schema();
    let later = format!("INSERT INTO {schema}.migrations VALUES (99, '0099_later', 'x')");
    shared().sql(&later);
    refused("x-nothing", "", 65, "run the newer program");
}

#[test]
fn the_command_line_shows_nodes_and_declares_ends() {
    let installation = Installation::set_up(shared());
    let mut a = installation.start("a");
    let mut b = installation.start("b");
    let status = || {
        let output = installation.run(&["cluster", "status", "--json", "--config", "a.toml"]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let shown = status();
    assert_eq!(shown["nodes"].as_array().unwrap().len(), 2, "{shown}");
    assert_eq!(shown["promise"]["in_force"], "strict");
    b.kill();
    let refused = installation.run(&["cluster", "forget", "a", "--config", "a.toml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    let refused = installation.run(&["cluster", "declare-dead", "--config", "a.toml"]);
    assert_eq!(refused.status.code(), Some(75), "it runs: {}", said(&refused));
    let declared = installation.run(&["cluster", "declare-dead", "--config", "b.toml"]);
    assert!(declared.status.success(), "{}", said(&declared));
    assert_eq!(status()["nodes"].as_array().unwrap().len(), 1);
    a.kill();
    let forgotten = installation.run(&["cluster", "forget", "a", "--confirmed-dead", "--config", "a.toml"]);
    assert!(forgotten.status.success(), "{}", said(&forgotten));
    assert_eq!(status()["nodes"], json!([]));
    let unknown = installation.run(&["cluster", "forget", "a", "--confirmed-dead", "--config", "a.toml"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
}
