//! Traces reach a collector, and hold no secret.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use crate::process::{Dev, directory};

#[test]
fn spans_are_sent_to_the_collector() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 16_384];
        loop {
            let count = stream.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&received).to_lowercase();
            let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
            let length: usize =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            let start = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            if received.len() >= start + length {
                break;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8_lossy(&received).into_owned()
    });
    let directory = directory();
    let dev = Dev::start_with(
        directory.path(),
        &[("KEYWRIGHT_TELEMETRY_OTLP_ENDPOINT", &endpoint), ("KEYWRIGHT_TELEMETRY_SAMPLE_PERCENT", "100")],
    );
    let (id, secret) = dev.owner().create("traced");
    dev.owner().verify(&secret);
    dev.stop();
    let received = collector.join().unwrap();
    assert!(received.starts_with("POST /v1/traces"), "{received}");
    for expected in ["POST /v1/keys/verify", "POST /v1/workspaces/{slug}/keys", "http.route", "req_"] {
        assert!(received.contains(expected), "{expected} in {received}");
    }
    assert!(!received.contains(&secret) && !received.contains(&id));
}
