//! Prompts from the command line to the clients, and back from files.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    client::Client,
    process::{Dev, directory, keywright, said},
};

/// Runs `keywright prompts …` with the management key.
fn prompts(dev: &Dev, arguments: &[&str]) -> Output {
    keywright()
        .arg("prompts")
        .args(arguments)
        .env("KEYWRIGHT_URL", dev.url())
        .env("KEYWRIGHT_API_KEY", dev.text("/management_key"))
        .output()
        .unwrap()
}

/// Runs one that must work; its standard output.
fn works(dev: &Dev, arguments: &[&str]) -> String {
    let output = prompts(dev, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn application(dev: &Dev) -> Client {
    Client::new(dev.url(), dev.text("/api_key/secret"))
}

/// What a shipped client gets.
fn got(dev: &Dev, package: &str) -> Value {
    application(dev).post("/v1/prompts/get", &json!({"package_name": package}), 200)
}

fn audit_entries(dev: &Dev) -> usize {
    let (status, page) = dev.owner().get("/v1/workspaces/acme/audit?limit=100");
    assert_eq!(status, 200);
    page["data"].as_array().unwrap().len()
}

fn write(place: &Path, name: &str, text: &str) -> String {
    let path = place.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn from_the_author_to_the_client_and_through_files() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let generator = "Answer {{question:string // what is asked}}\r\nas {\"json\": true}.\n\n";
    let generator_file = write(directory.path(), "g.md", generator);
    let faq_file = write(directory.path(), "faq.md", "# FAQ\n");
    works(&dev, &["create", "qa-bot", "--generator", &generator_file, "--category", "support"]);
    works(&dev, &["context", "add-file", "qa-bot", &faq_file, "--label", "FAQ"]);
    works(&dev, &["context", "add-link", "qa-bot", "https://example.com/faq"]);
    assert_eq!(works(&dev, &["get", "qa-bot", "--text", "generator"]), generator);
    assert!(works(&dev, &["publish", "qa-bot"]).contains("@acme/qa-bot:v1"));

    let prompt = got(&dev, "@acme/qa-bot:v1");
    assert_eq!(prompt["content"], json!(generator));
    assert_eq!(got(&dev, "@acme/qa-bot:latest"), prompt);
    let file = &prompt["context"][0];
    assert_eq!((&file["type"], &file["fileName"]), (&json!("file"), &json!("faq.md")));
    let id = file["id"].as_str().unwrap();
    let (status, link) = application(&dev).get(&format!("/v1/prompts/context/download-url?contextId={id}"));
    assert_eq!(status, 200, "{link}");
    let place = link["url"].as_str().unwrap().strip_prefix(&dev.url()).unwrap().to_owned();
    let nobody = Client::new(dev.url(), String::new());
    assert_eq!(nobody.get_text(&place), "# FAQ\n");
    assert_eq!(nobody.get(&place.replace("expires=", "expires=1")).0, 403, "an altered link");

    let files = directory.path().join("prompts");
    let files_argument = files.to_str().unwrap();
    works(&dev, &["export", files_argument]);
    assert_eq!(fs::read_to_string(files.join("qa-bot/generator.md")).unwrap(), generator);
    assert_eq!(fs::read_to_string(files.join("qa-bot/context/faq.md")).unwrap(), "# FAQ\n");
    let before = audit_entries(&dev);
    assert!(
        works(&dev, &["import", files_argument]).starts_with("0 of 2 "),
        "the sample of `dev` is the other"
    );
    works(&dev, &["import", files_argument, "--dry-run"]);
    assert_eq!(audit_entries(&dev), before, "no command was sent");

    write(&files, "qa-bot/system.md", "Be kind.");
    let dry = prompts(&dev, &["import", files_argument, "--dry-run"]);
    assert_eq!(dry.status.code(), Some(2), "{}", said(&dry));
    assert!(String::from_utf8_lossy(&dry.stdout).contains("+Be kind."));
    assert_eq!(audit_entries(&dev), before, "a dry run sends none");
    assert!(
        works(&dev, &["import", files_argument, "--publish"])
            .contains("@acme/qa-bot: change system_prompt; publish")
    );
    assert_eq!(got(&dev, "@acme/qa-bot:latest")["systemPrompt"], json!("Be kind."));
    assert_eq!(got(&dev, "@acme/qa-bot:v1"), prompt, "a version never changes");
    assert!(works(&dev, &["import", files_argument, "--publish"]).starts_with("0 of 2 "));

    works(&dev, &["archive", "qa-bot", "--version", "v2"]);
    assert_eq!(got(&dev, "@acme/qa-bot:latest"), prompt);
    works(&dev, &["delete", "qa-bot", "--yes"]);
    assert_eq!(nobody.get(&place).0, 404, "a link ends with its item");
    dev.stop();
}

#[test]
fn dev_has_a_prompt_ready_and_keeps_what_becomes_of_it() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let (status, health) = Client::new(dev.url(), String::new()).get("/v1/health");
    assert_eq!((status, &health["status"]), (200, &json!("ok")));
    assert_eq!(health["version"], json!(env!("CARGO_PKG_VERSION")));
    let first = got(&dev, "@acme/support-assistant:v1");
    assert_eq!(first["context"].as_array().map(Vec::len), Some(2));
    let draft = got(&dev, "@acme/support-assistant:v0");
    assert!(draft["is_draft"] == true && draft["content"] != first["content"]);
    works(&dev, &["edit", "support-assistant", "--title", "Ours"]);
    dev.stop();
    let dev = Dev::start(directory.path());
    let (_, list) = application(&dev).get("/v1/prompts");
    assert_eq!(list["prompts"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(got(&dev, "@acme/support-assistant:v0")["title"], json!("Ours"));
    dev.stop();
}

/// The commands of `docs/guides/prompts.md`, one after the other in one shell.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell of the test finds its programs as this process does"
)]
#[test]
fn the_guide_works_as_it_is_printed() {
    let guide =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/prompts.md"))
            .unwrap();
    let blocks: Vec<&str> =
        guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() > 5, "the guide has its commands in blocks");
    let directory = directory();
    let dev = Dev::start(directory.path());
    let script =
        format!("set -eu\n{}", blocks.concat()).replace("YOUR_API_KEY", &dev.text("/api_key/secret"));
    let place = directory.path().join("place");
    fs::create_dir(&place).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_keywright")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&place)
        .env("PATH", path)
        .env("KEYWRIGHT_URL", dev.url())
        .env("KEYWRIGHT_API_KEY", dev.text("/management_key"))
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{out}\n{}", said(&output));
    for expected in [
        "\"prompts\":",
        "\"version\":\"v1\"",
        "<user_input name=",
        "@acme/summary:v2",
        "+Summarise",
        "House style",
    ] {
        assert!(out.contains(expected), "{expected} in {out}");
    }
    assert_eq!(fs::read_to_string(place.join(".gitignore")).unwrap(), ".env\n");
    assert!(place.join("prompts/support-assistant/context/links.toml").exists());
    dev.stop();
}
