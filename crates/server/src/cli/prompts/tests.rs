use clap::Parser;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        console::{Dialogue, captured::console},
        fake_server::FakeServer,
    },
    *,
};
use crate::failure::Exit;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    prompts: Prompts,
}

struct Outcome {
    result: Result<(), Failure>,
    out: String,
    err: String,
    requests: Vec<String>,
}

impl Outcome {
    /// Method and path of the requests that are no questions.
    fn changes(&self) -> Vec<&str> {
        let lines = self.requests.iter().map(|request| request.lines().next().unwrap());
        lines
            .filter(|line| !line.starts_with("GET "))
            .map(|line| line.trim_end_matches(" HTTP/1.1"))
            .collect()
    }
}

fn run(arguments: &[&str], input: &[u8], answers: Vec<(u16, String)>) -> Outcome {
    let server = FakeServer::start(answers);
    let front = ["prompts", "--url", server.url(), "--workspace", "acme"];
    let line = Line::try_parse_from([&front, arguments].concat()).unwrap();
    let (console, out, err) = console(input, Dialogue::Impossible);
    let result = line.prompts.run(console);
    Outcome { result, out: out.text(), err: err.text(), requests: server.requests() }
}

fn body(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

const GENERATOR: &str = "Answer {{question}}:\r\n\t{\"a\": 1}\n\n";
const FAQ: &str = "# FAQ\n";

fn draft(generator: &str) -> serde_json::Value {
    json!({"title": "Bot", "description": null, "category": "support", "tags": ["b", "a"], "generator": generator,
        "system_prompt": "Be kind.", "critique_prompt": null, "variables": []})
}

/// A prompt as the server tells it, with a file and a link.
fn prompt() -> serde_json::Value {
    json!({"id": "pmt_1", "workspace": "acme", "slug": "bot", "package": "@acme/bot", "draft": draft(GENERATOR),
        "revision": 4, "latest": "v1", "versions": 1, "context": ["ctx_1", "ctx_2"], "archived_at": null})
}

fn list(rows: &[serde_json::Value]) -> (u16, String) {
    (200, json!({"data": rows, "cursor": null, "has_more": false}).to_string())
}

fn items() -> (u16, String) {
    list(&[
        json!({"id": "ctx_1", "type": "file", "file_name": "faq.md", "mime_type": "text/markdown", "size": 6,
            "sha256": hex::encode(Sha256::digest(FAQ)), "label": "FAQ"}),
        json!({"id": "ctx_2", "type": "link", "url": "https://example.com/", "label": null}),
        json!({"id": "ctx_0", "type": "link", "url": "https://example.com/of-an-older-version", "label": null}),
    ])
}

fn version(generator: &str, context: &[&str]) -> serde_json::Value {
    json!({"version": "v1", "content": draft(generator), "context": context, "archived_at": null})
}

/// A directory with the prompt exported to it.
fn exported() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let link =
        json!({"url": "https://elsewhere.example/v1/prompts/context/ctx_1/content?expires=1&signature=s"});
    let answers = vec![list(&[prompt()]), items(), (200, link.to_string()), (200, FAQ.to_owned())];
    let outcome = run(&["export", directory.path().to_str().unwrap()], b"", answers);
    outcome.result.unwrap();
    assert_eq!(outcome.out, format!("Exported 1 prompt(s) to {}.\n", directory.path().display()));
    assert!(outcome.requests[2].starts_with("GET /v1/prompts/context/download-url?contextId=ctx_1 "));
    // The same server is asked, wherever the link says that it is.
    assert!(outcome.requests[3].starts_with("GET /v1/prompts/context/ctx_1/content?expires=1&signature=s "));
    directory
}

#[test]
fn texts_are_sent_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("system.md");
    std::fs::write(&file, "one\r\n\ttwo\n\n").unwrap();
    let arguments = ["create", "bot", "--generator", "-", "--system", file.to_str().unwrap(), "--tag", "a"];
    let outcome = run(&arguments, GENERATOR.as_bytes(), vec![(201, json!({"prompt": {}}).to_string())]);
    outcome.result.unwrap();
    assert_eq!(outcome.out, "Created @acme/bot, a draft.\n");
    assert!(outcome.requests[0].starts_with("POST /v1/workspaces/acme/prompts "), "{}", outcome.requests[0]);
    assert!(outcome.requests[0].contains("idempotency-key: cli-"));
    let sent =
        json!({"slug": "bot", "generator": GENERATOR, "system_prompt": "one\r\n\ttwo\n\n", "tags": ["a"]});
    assert_eq!(body(&outcome.requests[0]), sent);

    let twice = run(&["create", "bot", "--generator", "-", "--system", "-"], b"x", vec![]);
    assert_eq!(twice.result.unwrap_err().exit(), Exit::Arguments);
    for (text, is_taken) in [("x".repeat(65_536), true), ("x".repeat(65_537), false)] {
        std::fs::write(&file, text).unwrap();
        let arguments = ["create", "bot", "--system", file.to_str().unwrap()];
        let outcome = run(&arguments, b"", vec![(201, "{}".to_owned())]);
        assert_eq!(outcome.result.is_ok(), is_taken);
    }
}

#[test]
fn edit_tells_absent_from_null_and_names_the_revision() {
    let arguments = ["edit", "bot", "--title", "T", "--no-system", "--no-tags", "--revision", "7"];
    let outcome = run(&arguments, b"", vec![(200, "{}".to_owned())]);
    outcome.result.unwrap();
    assert_eq!(body(&outcome.requests[0]), json!({"title": "T", "system_prompt": null, "tags": null}));
    assert!(outcome.requests[0].contains("if-match: \"7\"\r\n"), "{}", outcome.requests[0]);
    assert_eq!(run(&["edit", "bot"], b"", vec![]).result.unwrap_err().exit(), Exit::Arguments);
}

#[test]
fn what_takes_away_for_good_asks_first() {
    for arguments in [&["delete", "bot"][..], &["context", "delete", "bot", "ctx_1"]] {
        let outcome = run(arguments, b"yes\n", vec![]);
        assert_eq!(outcome.result.unwrap_err().exit(), Exit::Arguments, "{arguments:?}");
        let outcome = run(&[arguments, &["--yes"]].concat(), b"", vec![(204, String::new())]);
        assert!(outcome.result.is_ok() && outcome.changes().len() == 1, "{arguments:?}");
        let outcome = run(&[arguments, &["--dry-run"]].concat(), b"", vec![]);
        assert!(outcome.result.is_ok() && outcome.out.contains("DELETE /v1/workspaces/acme/prompts/bot"));
    }
}

#[test]
fn versions_and_prompts_go_out_of_service_and_come_back() {
    for (arguments, path) in [
        (&["archive", "bot"][..], "bot/archive"),
        (&["restore", "bot"], "bot/restore"),
        (&["archive", "bot", "--version", "v2"], "bot/versions/v2/archive"),
        (&["restore", "bot", "--version", "v2"], "bot/versions/v2/restore"),
        (&["publish", "bot"], "bot/publish"),
    ] {
        let outcome = run(arguments, b"", vec![(200, json!({"version": {"version": "v2"}}).to_string())]);
        outcome.result.as_ref().unwrap();
        assert_eq!(outcome.changes(), [format!("POST /v1/workspaces/acme/prompts/{path}")]);
    }
}

#[test]
fn a_file_is_sent_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prices.csv");
    std::fs::write(&file, "a;b\r\n").unwrap();
    let arguments = ["context", "add-file", "bot", file.to_str().unwrap(), "--label", "The prices"];
    let outcome = run(&arguments, b"", vec![(201, json!({"item": {"id": "ctx_9"}}).to_string())]);
    outcome.result.unwrap();
    assert_eq!(outcome.out, "Added prices.csv to @acme/bot as ctx_9.\n");
    let request = &outcome.requests[0];
    let line = "POST /v1/workspaces/acme/prompts/bot/context/files?file_name=prices.csv&label=The%20prices ";
    assert!(request.starts_with(line) && request.contains("content-type: text/csv\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\na;b\r\n"), "{request}");
    std::fs::rename(&file, directory.path().join("prices")).unwrap();
    let unknown =
        ["context", "add-file", "bot", directory.path().join("prices").to_str().unwrap()].map(str::to_owned);
    let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
    assert_eq!(run(&unknown, b"", vec![]).result.unwrap_err().exit(), Exit::Arguments);
}

#[test]
fn a_link_is_not_taken_for_the_address_of_the_server() {
    let arguments = ["context", "add-link", "bot", "https://example.com/faq", "--label", "FAQ"];
    let outcome = run(&arguments, b"", vec![(201, "{}".to_owned())]);
    outcome.result.as_ref().unwrap();
    assert_eq!(outcome.changes(), ["POST /v1/workspaces/acme/prompts/bot/context/links"]);
    assert_eq!(body(&outcome.requests[0]), json!({"url": "https://example.com/faq", "label": "FAQ"}));
}

#[test]
fn texts_are_shown() {
    let shown = run(&["get", "bot", "--text", "generator"], b"", vec![(200, prompt().to_string())]);
    assert_eq!(shown.out, GENERATOR);
    let none = run(&["get", "bot", "--text", "critique"], b"", vec![(200, prompt().to_string())]);
    assert_eq!(none.result.unwrap_err().exit(), Exit::Negative);
    let whole = run(&["get", "bot"], b"", vec![(200, prompt().to_string())]);
    assert!(whole.out.contains("\n--- generator\nAnswer {{question}}:\n\t{\"a\": 1}\n"), "{}", whole.out);
}

#[test]
fn a_comparison_shows_what_is_around_a_change() {
    let line = |change: &str, text: String| json!({"change": change, "text": text});
    let mut lines: Vec<_> = (0..10).map(|number| line("same", number.to_string())).collect();
    lines.insert(5, line("added", "new\u{1b}[2J".to_owned()));
    let answer = json!({"from": "v1", "to": "v0", "fields": [{"field": "generator", "lines": lines}]});
    let outcome = run(&["diff", "bot"], b"", vec![(200, answer.to_string())]);
    assert!(outcome.requests[0].contains("/bot/diff?from=latest&to=v0 "));
    let expected = "--- v1 generator\n+++ v0 generator\n …\n 2\n 3\n 4\n+new\\u{1b}[2J\n 5\n 6\n 7\n";
    assert_eq!(outcome.out, expected);
}

#[test]
fn importing_an_own_export_does_nothing() {
    let directory = exported();
    let directory = directory.path().to_str().unwrap();
    let same = vec![list(&[prompt()]), items(), (200, version(GENERATOR, &["ctx_1", "ctx_2"]).to_string())];
    for arguments in [&["import", directory][..], &["import", directory, "--dry-run"]] {
        let outcome = run(arguments, b"", same.clone());
        outcome.result.as_ref().unwrap();
        assert!(outcome.changes().is_empty(), "{:?}", outcome.requests);
    }
    let outcome = run(&["import", directory, "--publish", "--prune"], b"", same);
    outcome.result.as_ref().unwrap();
    assert!(outcome.changes().is_empty() && outcome.requests.len() == 3, "{:?}", outcome.requests);
}

#[test]
fn an_import_sends_what_differs() {
    let directory = exported();
    let place = directory.path().join("bot");
    std::fs::write(place.join("generator.md"), "Answer {{question}} shortly.").unwrap();
    std::fs::write(place.join("context/faq.md"), "# Another FAQ\n").unwrap();
    let directory = directory.path().to_str().unwrap();
    let questions = || {
        let versions = list(&[version(GENERATOR, &["ctx_2"])]);
        let newest = (200, version(GENERATOR, &["ctx_2"]).to_string());
        vec![list(&[prompt()]), items(), versions, newest]
    };
    let dry = run(&["import", directory, "--dry-run", "--publish"], b"", questions());
    assert_eq!(dry.result.as_ref().unwrap_err().exit(), Exit::Arguments);
    assert!(dry.err.ends_with("1 of 1 prompt(s) would be changed.\n"), "{}", dry.err);
    assert!(dry.changes().is_empty());
    assert!(
        dry.out
            .starts_with("@acme/bot: change generator; add faq.md (text/markdown); delete faq.md; publish\n")
    );
    assert!(
        dry.out.contains("  +Answer {{question}} shortly.\n")
            && dry.out.contains("  --- a/bot/generator.md\n")
    );

    let changed = |revision: u32| (200, json!({"prompt": {"revision": revision}}).to_string());
    let sha256 = hex::encode(Sha256::digest("# Another FAQ\n"));
    let added = json!({"prompt": {"revision": 6}, "item": {"id": "ctx_3", "sha256": sha256}}).to_string();
    let mut answers = questions();
    answers.extend([changed(5), (201, added), (204, String::new()), changed(7)]);
    let outcome = run(&["import", directory, "--publish"], b"", answers);
    outcome.result.as_ref().unwrap();
    let base = "/v1/workspaces/acme/prompts/bot";
    assert_eq!(
        outcome.changes(),
        [
            format!("PATCH {base}"),
            format!("POST {base}/context/files?file_name=faq.md&label=FAQ"),
            format!("DELETE {base}/context/ctx_1"),
            format!("POST {base}/publish"),
        ]
    );
    assert_eq!(body(&outcome.requests[4]), json!({"generator": "Answer {{question}} shortly."}));
    assert!(
        outcome.requests[4].contains("if-match: \"4\"") && outcome.requests[7].contains("if-match: \"7\"")
    );
}

#[test]
fn what_published_versions_serve_stays_unless_told_otherwise() {
    let directory = exported();
    std::fs::remove_file(directory.path().join("bot/context/links.toml")).unwrap();
    let directory = directory.path().to_str().unwrap();
    let questions = || vec![list(&[prompt()]), items(), list(&[version(GENERATOR, &["ctx_1", "ctx_2"])])];
    let outcome = run(&["import", directory], b"", questions());
    outcome.result.as_ref().unwrap();
    assert!(outcome.changes().is_empty());
    assert!(
        outcome.err.contains("https://example.com/ stays: published versions serve it"),
        "{}",
        outcome.err
    );
    let mut answers = questions();
    answers.push((204, String::new()));
    let outcome = run(&["import", directory, "--prune"], b"", answers);
    outcome.result.as_ref().unwrap();
    assert_eq!(outcome.changes(), ["DELETE /v1/workspaces/acme/prompts/bot/context/ctx_2"]);
}

#[test]
fn an_import_creates_what_is_not_there_and_respects_what_is_archived() {
    let directory = exported();
    let place = directory.path().to_str().unwrap();
    let created = (201, json!({"prompt": {"revision": 1}}).to_string());
    let added =
        json!({"prompt": {"revision": 2}, "item": {"sha256": hex::encode(Sha256::digest(FAQ))}}).to_string();
    let answers = vec![list(&[]), created, (201, added.clone()), (201, added)];
    let outcome = run(&["import", place, "--json"], b"", answers);
    outcome.result.as_ref().unwrap();
    assert_eq!(outcome.changes().len(), 3, "{:?}", outcome.requests);
    assert_eq!(body(&outcome.requests[1])["generator"], json!(GENERATOR));
    let answer: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(answer["prompts"][0]["steps"][0], json!({"do": "create"}));

    let mut archived = prompt();
    archived["archived_at"] = json!("2026-11-21T06:00:00.000Z");
    let outcome = run(&["import", place], b"", vec![list(std::slice::from_ref(&archived)), items()]);
    outcome.result.unwrap();
    archived["draft"]["title"] = json!("Another");
    let outcome = run(&["import", place], b"", vec![list(&[archived]), items()]);
    assert!(outcome.changes().is_empty());
    assert!(outcome.result.unwrap_err().to_string().contains("@acme/bot is archived"));
}
