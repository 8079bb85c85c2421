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
    scan: Scan,
}

/// Runs a scan and returns exit code, standard output and standard error; no secret may be in them.
fn run(arguments: &[&str], input: &[u8]) -> (u8, String, String) {
    let line = Line::try_parse_from([&["scan"], arguments].concat()).unwrap();
    let (console, out, err) = console(input, Dialogue::Impossible);
    let result = line.scan.run(console);
    let exit = result.as_ref().err().map_or(0, |failure| failure.exit() as u8);
    let failure = result.err().map(|failure| failure.to_string()).unwrap_or_default();
    let text = (exit, out.text(), err.text() + &failure);
    assert!(!text.1.contains("MTahov") && !text.2.contains("MTahov"), "{text:?}");
    text
}

#[test]
fn standard_input() {
    let (exit, out, _) = run(&["-"], format!("a {KEY}\n").as_bytes());
    assert_eq!(exit, 3);
    assert_eq!(out, "(standard input):1:3: high: live key, confirmed: sk_live_07ELSZgnu18F…0MxH\n");
    let (exit, out, _) = run(&["-"], b"nothing here");
    assert_eq!((exit, out.as_str()), (0, ""));
    let (exit, out, _) = run(&["-"], b"ENV BAYT_API_KEY=sk_live_abc123");
    assert_eq!(exit, 3);
    assert_eq!(out, "(standard input):1:18: low: live key, suspect placeholder: sk_live_…\n");
    assert_eq!(run(&["-", "--fail-on", "medium"], b"sk_live_abc123").0, 0);
}

#[test]
fn a_baseline_accepts_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f");
    std::fs::write(&file, KEY).unwrap();
    let (file, baseline) = (file.to_str().unwrap(), directory.path().join("baseline.json"));
    let baseline = baseline.to_str().unwrap();
    assert_eq!(run(&[file, "--write-baseline", baseline], b"").0, 0);
    assert!(!std::fs::read_to_string(baseline).unwrap().contains("MTahov"));
    assert_eq!(run(&[file, "--baseline", baseline], b"").0, 0);
    std::fs::write(file, format!("\n\n{KEY} sk_test_abc123")).unwrap();
    let (exit, out, _) = run(&[file, "--baseline", baseline], b"");
    assert_eq!((exit, out.lines().count()), (3, 1), "{out}");
}

#[test]
fn what_cannot_be_read_is_not_called_clean() {
    let (exit, _, err) = run(&["/does/not/exist"], b"");
    assert_eq!(exit, 1, "{err}");
    assert!(err.contains("/does/not/exist"));
}

#[test]
fn machine_readable_forms() {
    let (exit, out, _) = run(&["-", "--json"], KEY.as_bytes());
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &report["findings"][0]["locator"]), (3, &json!("07ELSZgnu18F")));
    let (_, out, _) = run(&["-", "--sarif", "-"], KEY.as_bytes());
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["runs"][0]["results"].as_array().unwrap().len(), 1);
}

#[test]
fn only_the_locator_leaves_the_machine() {
    let row = json!({"data": [{"locator": "07ELSZgnu18F", "usable": true,
        "key": {"id": "key_1", "workspace": "acme", "status": "active"}}]});
    let server = FakeServer::start(vec![(200, row.to_string())]);
    let (exit, out, _) = run(&["-", "--verify", "--url", server.url()], format!("{KEY}\n{KEY}").as_bytes());
    assert_eq!(exit, 3);
    assert!(out.contains("CRITICAL") && out.contains("key_1 in acme, active: works"), "{out}");
    let request = server.requests().remove(0);
    assert!(
        request.ends_with(r#"{"locators":["07ELSZgnu18F"]}"#) && !request.contains("MTahov"),
        "{request}"
    );
}

#[test]
fn a_finding_in_file_and_history_is_one() {
    let found = |commit| finding::findings(KEY.as_bytes(), &Place { path: "f", first_line: 1, commit });
    let mut findings = found(None);
    merge(&mut findings, found(Some("c1")));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].present && findings[0].commit.as_deref() == Some("c1"));
}
