//! HTTP/1.1 and HTTP/2 on one port; pipelining; limits of heads.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::process::{Dev, directory};

#[test]
fn http2_without_tls() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let (address, key, secret) = (dev.address(), dev.text("/management_key"), dev.text("/api_key/secret"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let ask = |_| {
            let mut sender = sender.clone();
            let request = http::Request::post(format!("http://{address}/v1/keys/verify"))
                .header("Authorization", format!("Bearer {key}"))
                .header("Content-Type", "application/json")
                .body(Full::new(bytes::Bytes::from(format!("{{\"key\":\"{secret}\"}}"))))
                .unwrap();
            tokio::spawn(async move {
                let answer = sender.send_request(request).await.unwrap();
                assert_eq!(answer.version(), http::Version::HTTP_2);
                answer.into_body().collect().await.unwrap().to_bytes()
            })
        };
        let mut answers = Vec::new();
        for task in (0..50).map(ask).collect::<Vec<_>>() {
            answers.push(task.await.unwrap());
        }
        answers
    });
    assert!(answers.iter().all(|answer| answer.starts_with(b"{\"valid\":true")));
    dev.stop();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let mut stream = TcpStream::connect(dev.address()).unwrap();
    let check =
        |secret: &str| format!("GET /v1/check HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n");
    let good = check(&dev.text("/api_key/secret"));
    let bad = check("sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH");
    let health = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all([&*good, &*bad, &*good, health].concat().as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let statuses: Vec<&str> =
        text.split("HTTP/1.1 ").skip(1).map(|answer| answer.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["204", "401", "204", "200"], "{text}");
    dev.stop();
}

#[test]
fn half_of_the_next_request_does_not_delay_an_answer() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let mut stream = TcpStream::connect(dev.address()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    dev.stop();
}

#[test]
fn heads_are_bounded_and_smuggling_is_refused() {
    let directory = directory();
    let dev = Dev::start_with(directory.path(), &[("KEYWRIGHT_LIMITS_HEADER_BYTES", "8192")]);
    let status = |head: &str| {
        let mut stream = TcpStream::connect(dev.address()).unwrap();
        // The server may close before it has read all of it.
        drop(stream.write_all(head.as_bytes()));
        let mut text = Vec::new();
        drop(stream.read_to_end(&mut text));
        String::from_utf8_lossy(&text).split(' ').nth(1).unwrap_or("closed").to_owned()
    };
    let with =
        |headers: &str| format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
    let numbered =
        |count: usize| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<Vec<_>>().concat();
    assert_eq!(status(&with(&format!("x: {}\r\n", "a".repeat(7_000)))), "200");
    assert_eq!(status(&with(&format!("x: {}\r\n", "a".repeat(20_000)))), "431");
    assert_eq!(status(&with(&numbered(90))), "200");
    assert_eq!(status(&with(&numbered(150))), "431");
    let both =
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello";
    assert_eq!(status(both), "400");
    assert_eq!(status("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), "400");
    dev.stop();
}

#[test]
fn plain_and_other_requests_share_a_connection() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let mut stream = TcpStream::connect(dev.address()).unwrap();
    let (key, secret) = (dev.text("/management_key"), dev.text("/api_key/secret"));
    let body = format!("{{\"key\":\"{secret}\"}}");
    let verify = format!(
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let check = format!("GET /v1/check HTTP/1.1\r\nHost: a\r\nX-API-Key: {secret}\r\n\r\n");
    let last = check.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let whole =
        [&*check, &*verify, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", &*check, &*verify, &*last].concat();
    let (first, rest) = whole.as_bytes().split_at(check.len() + verify.len() / 2);
    // A byte at a time in the middle: heads and bodies come in pieces, too.
    stream.set_nodelay(true).unwrap();
    stream.write_all(&first[..first.len() - 20]).unwrap();
    for byte in &first[first.len() - 20..] {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.write_all(rest).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let statuses: Vec<&str> =
        text.split("HTTP/1.1 ").skip(1).map(|answer| answer.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["204", "200", "200", "204", "200", "204"], "{text}");
    assert_eq!(text.matches("\"valid\":true").count(), 2, "{text}");
    assert_eq!(text.matches("\r\ndate: ").count(), 6, "{text}");
    let metrics = dev.admin().get_text("/metrics");
    let counted = |route: &str, count: u32| {
        metrics.lines().any(|line| {
            line.starts_with("keywright_http_requests_total")
                && line.contains(route)
                && line.ends_with(&format!(" {count}"))
        })
    };
    assert!(counted("\"/v1/check\"", 3) && counted("\"/v1/keys/verify\"", 2), "{metrics}");
    dev.stop();
}
