use clap::Parser;
use serde_json::json;

use super::{
    super::{
        console::{Dialogue, captured::console},
        fake_server::FakeServer,
    },
    *,
};

const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    connection: Connection,
}

fn client(url: &str, key: Option<&str>) -> Client {
    let (mut console, ..) = console(b"", Dialogue::Impossible);
    connection(&["--url", url]).connect(&mut console, key.map(|key| Zeroizing::new(key.to_owned()))).unwrap()
}

fn connection(arguments: &[&str]) -> Connection {
    Line::try_parse_from([&["keywright"], arguments].concat()).unwrap().connection
}

#[test]
fn the_credential_is_sent_and_the_answer_read() {
    let server = FakeServer::start(vec![(200, json!({"ok": true}).to_string())]);
    let answer = client(server.url(), Some(KEY)).get("/v1/whoami", &[("a", "b c&d".to_owned())]).unwrap();
    assert_eq!(answer, json!({"ok": true}));
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /v1/whoami?a=b%20c%26d HTTP/1.1\r\n"), "{request}");
    assert!(
        request.to_ascii_lowercase().contains(&format!("authorization: bearer {}", KEY.to_ascii_lowercase()))
    );
}

#[test]
fn only_reads_are_tried_again() {
    let server = FakeServer::start(vec![(503, "{}".to_owned()), (200, "{}".to_owned())]);
    assert!(client(server.url(), None).get("/v1/plans", &[]).is_ok());
    assert_eq!(server.requests().len(), 2);

    let server = FakeServer::start(vec![(503, "{}".to_owned()), (200, "{}".to_owned())]);
    let call =
        Call { method: Method::POST, path: "/x".to_owned(), body: Some(&json!({})), idempotency_key: None };
    let failure = client(server.url(), None).send(&call).unwrap_err();
    assert_eq!((failure.exit(), server.requests().len()), (Exit::Refused, 1));
}

#[test]
fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let call = Call { method: Method::POST, path: "/x".to_owned(), body: None, idempotency_key: Some("i-1") };
    let failure = client(&url, Some(KEY)).send(&call).unwrap_err();
    assert_eq!(failure.exit(), Exit::Unreachable);
    let text = failure.to_string();
    assert!(text.contains("--idempotency-key i-1") && !text.contains("MTahov"), "{text}");
}

#[test]
fn a_key_as_argument_is_refused_and_not_repeated() {
    for arguments in [&["--api-key", KEY][..], &["--api-key"]] {
        let connection = connection(arguments);
        assert!(!format!("{connection:?}").contains("MTahov"));
        let (mut console, ..) = console(b"", Dialogue::Impossible);
        let failure = connection.connect(&mut console, None).err().unwrap();
        assert_eq!(failure.exit(), Exit::Arguments);
        let text = failure.to_string();
        assert!(text.contains("KEYWRIGHT_API_KEY") && !text.contains("MTahov"), "{text}");
    }
}

#[test]
fn the_credential_comes_from_a_file_or_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    for (file, input) in [(file.to_str().unwrap(), String::new()), ("-", format!(" {KEY}\r\n"))] {
        let (mut console, ..) = console(input.as_bytes(), Dialogue::Impossible);
        let client = connection(&["--api-key-file", file]).connect(&mut console, None).unwrap();
        assert_eq!(client.credential.as_ref().unwrap().as_str(), KEY);
    }
}

#[test]
fn what_is_no_key_is_not_sent_and_not_shown() {
    for wrong in ["ghp_abcdefghijklmnopqrstuvwxyz0123456789", &KEY[..40], "hunter2hunter2"] {
        let (mut console, ..) = console(wrong.as_bytes(), Dialogue::Impossible);
        let failure = connection(&["--api-key-file", "-"]).connect(&mut console, None).err().unwrap();
        assert_eq!(failure.exit(), Exit::Arguments);
        assert!(!failure.to_string().contains(&wrong[10..]), "{failure}");
    }
}

#[test]
fn addresses() {
    for url in ["http://127.0.0.1:8080", "https://keys.example.com/", "http://[::1]:1"] {
        assert!(check_url(url).is_ok(), "{url}");
    }
    for url in
        ["", "keys.example.com", "ftp://h", "http://u:p@h", "http://h/api", "http://h/?a=b", "http://a b"]
    {
        assert_eq!(check_url(url).map_err(|failure| failure.exit()), Err(Exit::Arguments), "{url}");
    }
    assert!(sends_in_the_clear("http://keys.example.com"));
    assert!(!sends_in_the_clear("https://keys.example.com"));
    assert!(!sends_in_the_clear("http://127.0.0.1:1") && !sends_in_the_clear("http://[::1]:1"));
}

#[test]
fn segments_cannot_leave_their_place() {
    assert_eq!(path(&["v1", "keys", "a/../b?c#d e"]), "/v1/keys/a%2F..%2Fb%3Fc%23d%20e");
}
