//! Clients that take their time: they are cut off, and nobody else notices.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::process::{Dev, directory};

/// Sends `head`, then one byte of `drip` every 200 ms, until the server answers or closes. How long that took, and what
/// came.
#[expect(clippy::disallowed_methods, reason = "measures the real process")]
fn drip(address: &str, head: &[u8], drip: u8) -> (Duration, String) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.write_all(head).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 1_024];
    while started.elapsed() < Duration::from_secs(40) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if drip != 0 && stream.write_all(&[drip]).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (started.elapsed(), String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn slow_heads_idle_connections_and_silence_are_cut_off() {
    let directory = directory();
    let dev = Dev::start_with(
        directory.path(),
        &[("KEYWRIGHT_LIMITS_HEADER_TIMEOUT_SECONDS", "2"), ("KEYWRIGHT_LIMITS_IDLE_TIMEOUT_SECONDS", "3")],
    );
    let address = dev.address();
    let within = |(took, _): &(Duration, String), seconds: std::ops::Range<u64>| {
        assert!(seconds.contains(&took.as_secs()), "{took:?} instead of {seconds:?}");
    };
    std::thread::scope(|scope| {
        let head = scope.spawn(|| drip(&address, b"GET /healthz HTTP/1.1\r\nHost: ", b'a'));
        let silent = scope.spawn(|| drip(&address, b"", 0));
        let idle = scope.spawn(|| drip(&address, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 0));
        let preface = scope.spawn(|| drip(&address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0));
        within(&head.join().unwrap(), 1..6);
        within(&silent.join().unwrap(), 1..6);
        within(&preface.join().unwrap(), 1..6);
        let idle = idle.join().unwrap();
        within(&idle, 2..8);
        assert!(idle.1.starts_with("HTTP/1.1 200"), "{}", idle.1);
    });
    assert!(dev.admin().get_text("/metrics").contains("keywright_connections_timed_out_total 4"));
    dev.stop();
}

#[test]
fn a_slow_body_is_answered_with_a_timeout() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let key = dev.text("/management_key");
    let head = format!(
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n"
    );
    let (took, answer) = drip(&dev.address(), head.as_bytes(), b' ');
    assert!((9..20).contains(&took.as_secs()), "{took:?}");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    dev.stop();
}

#[test]
fn many_idle_connections_do_not_keep_others_out() {
    let directory = directory();
    let dev = Dev::start_with(
        directory.path(),
        &[("KEYWRIGHT_LIMITS_CONNECTIONS", "200"), ("KEYWRIGHT_LIMITS_CONNECTIONS_PER_ADDRESS", "1000")],
    );
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(dev.address()).unwrap()).collect();
    for mut stream in &idle {
        // A complete request, so that they count as idle; those turned away refuse it.
        drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    // Crowded: idle ones are closed after two seconds.
    crate::process::eventually("a new client is served", || {
        dev.owner().try_get("/healthz").ok().filter(|(status, _)| *status == 200)
    });
    let metrics = dev.admin().get_text("/metrics");
    let turned_away = metrics
        .lines()
        .find_map(|line| line.strip_prefix("keywright_connections_turned_away_total "))
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!(turned_away >= 100, "{turned_away}");
    drop(idle);
    dev.stop();
}

#[test]
fn one_address_has_its_share_only() {
    let directory = directory();
    let dev = Dev::start_with(directory.path(), &[("KEYWRIGHT_LIMITS_CONNECTIONS_PER_ADDRESS", "10")]);
    let streams: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(dev.address()).unwrap()).collect();
    let served = streams.iter().filter(|stream| {
        let mut stream = *stream;
        drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
        matches!(stream.read(&mut [0; 16]), Ok(count) if count > 0)
    });
    assert_eq!(served.count(), 10);
    drop(streams);
    dev.stop();
}
