//! Letters reach a mail server.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use serde_json::json;

use crate::{
    client::Client,
    mail_sink::MailSink,
    process::{Dev, directory, eventually, keywright, run, said},
};

/// `keywright mail test` with a configuration of these lines.
fn mail_test(directory: &Path, lines: &[&str]) -> Output {
    let config = directory.join("keywright.toml");
    fs::write(&config, format!("[mail]\nfrom = \"Keys <keys@example.com>\"\n{}\n", lines.join("\n")))
        .unwrap();
    keywright()
        .args(["mail", "test", "--to", "ann@example.org", "--config"])
        .arg(config)
        .env("SINK_PASSWORD", "hunter2")
        .output()
        .unwrap()
}

#[test]
fn the_test_letter_arrives_in_both_forms() {
    let (sink, directory) = (MailSink::start(), directory());
    let output = mail_test(directory.path(), &[&format!("url = {:?}", sink.url("smtp"))]);
    assert!(output.status.success(), "{}", said(&output));
    let letter = sink.letter_to("ann@example.org");
    assert_eq!((letter.from.as_str(), letter.signed_in, letter.encrypted), ("keys@example.com", None, false));
    for expected in [
        "From: Keys <keys@example.com>",
        "To: ann@example.org",
        "Subject: Keywright can send letters",
        "multipart/alternative",
        "text/plain; charset=utf-8",
        "text/html; charset=utf-8",
        "<p>This is the test letter",
    ] {
        assert!(letter.text.contains(expected), "{expected} in {}", letter.text);
    }
    assert_eq!(sink.letters().len(), 1);
}

#[test]
fn an_encrypted_connection_with_a_password() {
    let (sink, directory) = (MailSink::start(), directory());
    let url = format!("url = {:?}", sink.url("starttls"));
    let user = ["user = \"keys\"", "password_env = \"SINK_PASSWORD\""];
    let output = mail_test(directory.path(), &[&url, user[0], user[1]]);
    assert_eq!(output.status.code(), Some(69), "the certificate is nobody's: {}", said(&output));
    fs::write(directory.path().join("ca.pem"), sink.certificate_pem()).unwrap();
    let root = "root_certificate = \"ca.pem\"";
    let output = mail_test(directory.path(), &[&url, root, user[0], user[1]]);
    assert!(output.status.success(), "{}", said(&output));
    let letter = sink.letter_to("ann@example.org");
    assert!(letter.encrypted);
    assert_eq!(letter.signed_in, Some(("keys".to_owned(), "hunter2".to_owned())));
    let file = directory.path().join("password");
    fs::write(&file, "wrong\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let output = mail_test(directory.path(), &[&url, root, user[0], "password_file = \"password\""]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(sink.letters().len(), 1);
}

#[test]
fn refusals_are_told_and_the_configuration_is_checked() {
    let (sink, directory) = (MailSink::start(), directory());
    let url = format!("url = {:?}", sink.url("smtp"));
    sink.refuse(&["550 nobody here", "451 come again"]);
    let output = mail_test(directory.path(), &[&url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nobody here"), "{}", said(&output));
    let output = mail_test(directory.path(), &[&url]);
    assert_eq!(output.status.code(), Some(69));
    assert!(said(&output).contains("come again"), "{}", said(&output));
    assert!(sink.letters().is_empty());
    let output = mail_test(directory.path(), &["url = \"smtp://me:hunter2@mail.example.com\""]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        said(&output).contains("password_file") && !said(&output).contains("hunter2"),
        "{}",
        said(&output)
    );
    let config = directory.path().join("keywright.toml");
    fs::write(&config, "[mail]\nfrom = \"keys@example.com\"\n").unwrap();
    let output = run(&["config", "check", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("mail.url is missing"), "{}", said(&output));
}

#[test]
fn doctor_greets_the_mail_server() {
    let (sink, directory) = (MailSink::start(), directory());
    let config = directory.path().join("keywright.toml");
    let doctor = |url: &str| {
        let text = format!("[mail]\nfrom = \"keys@example.com\"\nurl = {url:?}\n");
        fs::write(&config, text).unwrap();
        let output = run(&["doctor", "--json", "--config", config.to_str().unwrap()]);
        let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let of_mail =
            findings["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "mail");
        of_mail.unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(doctor(&sink.url("smtp")), "ok");
    assert_eq!(doctor("smtp://127.0.0.1:1"), "fail");
    assert!(sink.letters().is_empty());
}

#[test]
fn letters_of_a_server_are_tried_again_and_counted() {
    let (sink, directory) = (MailSink::start(), directory());
    sink.refuse(&["451 come again"]);
    let url = sink.url("smtp");
    let variables = [("KEYWRIGHT_MAIL_URL", url.as_str()), ("KEYWRIGHT_MAIL_FROM", "keys@example.com")];
    let dev = Dev::start_with(directory.path(), &variables);
    let (email, password) = (dev.text("/owner/email"), dev.text("/owner/password"));
    let anyone = Client::new(dev.url(), String::new());
    anyone.post("/v1/sessions", &json!({"email": email, "password": password}), 201);
    let letter = sink.letter_to(&email);
    assert!(letter.text.contains("Subject: New sign-in to your account"), "{}", letter.text);
    for line in [
        "keywright_mail_letters_total{outcome=\"sent\"} 1",
        "keywright_mail_letters_total{outcome=\"retried\"} 1",
        "keywright_mail_waiting 0",
    ] {
        eventually(line, || dev.admin().get_text("/metrics").contains(line).then_some(()));
    }
    let log = dev.stop();
    assert!(log.contains("451 come again") || log.contains("a letter was not taken"), "{log}");
    assert!(!log.contains(&email), "{log}");
}
