//! The end: in order, under load, and by a second signal.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::json;

use crate::process::{Dev, directory, eventually, run, said};

#[test]
fn nothing_that_was_answered_is_lost() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let (id, secret) = dev.owner().create("counted");
    let (stop, verified) = (AtomicBool::new(false), AtomicU64::new(0));
    let (created, log) = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (owner, mut created) = (dev.owner(), Vec::new());
                    while !stop.load(Relaxed) {
                        let body = json!({"name": "made-until-the-end", "environment": "ci"});
                        match owner.try_post("/v1/workspaces/acme/keys", &body) {
                            Ok((201, answer)) => created.push(crate::client::created(&answer).1),
                            Ok((status, answer)) => panic!("{status}: {answer}"),
                            // Refused before it was taken: the listener is closed.
                            Err(_) => break,
                        }
                        if let Ok((200, answer)) = owner.try_post("/v1/keys/verify", &json!({"key": secret}))
                        {
                            assert_eq!(answer["valid"], true);
                            verified.fetch_add(1, Relaxed);
                        }
                    }
                    created
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(700));
        dev.signal(Signal::TERM);
        let created: Vec<_> = creators.into_iter().flat_map(|creator| creator.join().unwrap()).collect();
        stop.store(true, Relaxed);
        (created, ())
    });
    let () = log;
    let (status, rest, log) = dev.ended();
    assert!(status.success() && rest.is_empty(), "{status} {rest} {log}");
    assert!(!created.is_empty());

    let dev = Dev::start(directory.path());
    let owner = dev.owner();
    for secret in &created {
        assert_eq!(owner.verify(secret), "valid");
    }
    let (_, usage) = owner.get(&format!("/v1/workspaces/acme/keys/{id}/usage"));
    let counted = usage["total"].as_u64().unwrap();
    let verified = verified.load(Relaxed);
    assert!(counted >= verified && counted <= verified + 4, "{counted} counted, {verified} answered");
    dev.stop();
    let data = directory.path().join("data");
    let output = run(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_request_that_runs_is_finished_and_idle_connections_are_closed() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let idle = TcpStream::connect(dev.address()).unwrap();
    let mut running = TcpStream::connect(dev.address()).unwrap();
    let (key, secret) = (dev.text("/management_key"), dev.text("/api_key/secret"));
    let body = format!("{{\"key\":\"{secret}\"}}");
    write!(
        running,
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // The request has begun when its head was read.
    std::thread::sleep(Duration::from_millis(300));
    dev.signal(Signal::TERM);
    let address = dev.address();
    eventually("the port is closed", || TcpStream::connect(&address).err());
    running.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    running.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"valid\":true"), "{answer}");
    let (status, _, log) = dev.ended();
    assert!(status.success(), "{log}");
    drop(idle);
}

#[test]
fn a_second_signal_ends_at_once() {
    let directory = directory();
    let mut dev = Dev::start(directory.path());
    let mut running = TcpStream::connect(dev.address()).unwrap();
    let key = dev.text("/management_key");
    write!(
        running,
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n"
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    dev.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(dev.is_running(), "it waits for the request");
    dev.signal(Signal::INT);
    let (status, _, _) = dev.ended();
    assert_eq!(status.code(), Some(130));
}
