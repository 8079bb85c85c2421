//! Starts that cannot work say why and what to do; `serve` and `init`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Output, Stdio},
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    client::Client,
    process::{Dev, directory, keywright, run, said},
};

fn dev(data: &Path, listen: &str) -> Output {
    run(&["dev", "--data", data.to_str().unwrap(), "--listen", listen, "--json"])
}

/// Fails with this code and says all of this.
fn assert_refused(output: &Output, code: i32, says: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for expected in says {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn a_taken_port() {
    let directory = directory();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let data = directory.path().join("data");
    let output = dev(&data, &address);
    assert_refused(&output, 69, &[&format!("port {}", address.rsplit(':').next().unwrap()), "--listen"]);
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn a_second_process() {
    let directory = directory();
    let first = Dev::start(directory.path());
    let output = dev(&directory.path().join("data"), "127.0.0.1:0");
    assert_refused(&output, 75, &["in use by process", "choose another directory"]);
    assert_eq!(first.owner().verify(&first.text("/api_key/secret")), "valid");
    first.stop();
}

#[test]
fn a_wrong_pepper_and_a_lost_one() {
    let directory = directory();
    Dev::start(directory.path()).stop();
    let data = directory.path().join("data");
    let peppers = data.join("peppers.toml");
    let kept = fs::read_to_string(&peppers).unwrap();
    let old = kept.lines().find_map(|line| line.strip_prefix("secret = \"")).unwrap().trim_end_matches('"');
    fs::write(&peppers, kept.replace(old, &"7".repeat(64))).unwrap();
    let output = dev(&data, "127.0.0.1:0");
    assert_refused(
        &output,
        65,
        &["the pepper of version 1", "does not match the data", "put the pepper back"],
    );
    fs::remove_file(&peppers).unwrap();
    assert_refused(&dev(&data, "127.0.0.1:0"), 66, &["there is no pepper file", "put your copy back"]);
    assert!(!peppers.exists(), "no new pepper is made for old data");
    fs::write(&peppers, kept).unwrap();
    assert_refused(&dev(&data, "127.0.0.1:0"), 77, &["may be read by other users", "chmod 600"]);
    fs::set_permissions(&peppers, fs::Permissions::from_mode(0o600)).unwrap();
    let again = Dev::start(directory.path());
    assert_eq!(again.owner().verify(&again.text("/api_key/secret")), "valid");
    again.stop();
}

#[test]
fn a_rotated_pepper() {
    let directory = directory();
    let first = Dev::start(directory.path());
    let secret = first.text("/api_key/secret");
    let (_, unused) = first.owner().create("not used for now");
    first.stop();
    let data = directory.path().join("data");
    let output = run(&["pepper", "rotate", "--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let second = Dev::start(directory.path());
    let owner = second.owner();
    assert_eq!(owner.verify(&secret), "valid");
    let (_, newer) = owner.create("under the new pepper");
    assert_eq!(owner.verify(&newer), "valid");
    crate::process::eventually("used keys are stored under the new pepper", || {
        let text = second.admin().get_text("/metrics");
        let count = text.lines().find_map(|line| line.strip_prefix("keywright_secrets_redigested_total "))?;
        (count.parse::<u64>().unwrap() >= 2).then_some(())
    });
    let output = run(&["pepper", "status", "--data", data.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("version 1: ") && text.contains("version 2: "),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    second.stop();
    let third = Dev::start(directory.path());
    for secret in [&secret, &newer, &unused] {
        assert_eq!(third.owner().verify(secret), "valid");
    }
    third.stop();
}

#[test]
fn a_damaged_database() {
    let directory = directory();
    Dev::start(directory.path()).stop();
    let data = directory.path().join("data");
    let database = data.join("keywright.db");
    let mut bytes = fs::read(&database).unwrap();
    bytes[..4_096].fill(0x5a);
    fs::write(&database, &bytes).unwrap();
    assert_refused(&dev(&data, "127.0.0.1:0"), 65, &["damaged", "restore"]);
    assert_eq!(fs::read(&database).unwrap(), bytes, "nothing was changed");
}

#[test]
fn directories_that_cannot_be_used() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert_refused(&dev(&file, "127.0.0.1:0"), 66, &["is not a directory"]);
    assert_refused(&dev(&file.join("below"), "127.0.0.1:0"), 73, &["cannot create the data directory"]);
    // No permission stops root, but nobody makes directories in /proc.
    assert_refused(
        &dev(Path::new("/proc/keywright"), "127.0.0.1:0"),
        73,
        &["cannot create the data directory"],
    );
    let open = directory.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    assert_refused(&dev(&open, "127.0.0.1:0"), 77, &["open to other users", "chmod 700"]);
}

#[test]
fn configurations() {
    let directory = directory();
    let file = directory.path().join("keywright.toml");
    let check = || run(&["config", "check", file.to_str().unwrap()]);
    assert_refused(&check(), 66, &["cannot read", "keywright config example"]);
    fs::write(&file, "listen = \"127.0.0.1:0\"\nworkrs = 2\n").unwrap();
    assert_refused(&check(), 78, &["keywright.toml:2:1: unknown key `workrs`", "did you mean `workers`?"]);
    let example = run(&["config", "example"]);
    fs::write(&file, &example.stdout).unwrap();
    assert!(check().status.success());
}

/// `serve` with this configuration; the process and what it says on standard error, line by line.
fn serve(file: &Path) -> (std::process::Child, impl Iterator<Item = String> + use<>) {
    let mut child = keywright().args(["serve", "--config"]).arg(file).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

fn end(mut child: std::process::Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn serve_is_set_up_once_by_its_link() {
    let directory = directory();
    let file = directory.path().join("keywright.toml");
    fs::write(&file, "listen = \"127.0.0.1:0\"\nadmin_listen = \"off\"\ndata_dir = \"data\"\n").unwrap();
    let (child, mut lines) = serve(&file);
    let link = lines.find(|line| line.contains("/setup#")).unwrap();
    let (url, token) = link.trim().split_once("/setup#").unwrap();
    let anyone = Client::new(url.to_owned(), String::new());
    assert!(anyone.get_text("/setup").contains("<form"));
    assert_eq!(anyone.get("/readyz").0, 200);
    let body = |token: &str| json!({"token": token, "workspace": {"slug": "first", "owner_email": "owner@example.com"}});
    anyone.post("/v1/setup", &body("wrong"), 404);
    let made = anyone.post("/v1/setup", &body(token), 201);
    let operator = Client::new(url.to_owned(), made["secret"].as_str().unwrap().to_owned());
    assert_eq!(operator.get("/v1/workspaces").1["data"][0]["slug"], "first");
    anyone.post("/v1/setup", &body(token), 409);
    end(child);
    // Set up: no further link.
    let (child, mut lines) = serve(&file);
    let ready = lines.find(|line| line.contains("ready")).unwrap();
    let address = ready.split("address=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let operator = Client::new(format!("http://{address}"), made["secret"].as_str().unwrap().to_owned());
    assert_eq!(operator.get("/v1/workspaces").0, 200);
    end(child);
    assert!(!lines.any(|line| line.contains("/setup#")));
}

#[test]
fn init_prints_the_credential_once() {
    let directory = directory();
    let data = directory.path().join("data");
    let arguments = [
        "init",
        "--data",
        data.to_str().unwrap(),
        "--workspace",
        "acme",
        "--owner-email",
        "owner@example.com",
    ];
    let output = run(&arguments);
    assert!(output.status.success(), "{}", said(&output));
    let secret = String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned();
    assert!(secret.starts_with("ok_") && !said(&output).contains(&secret));
    for name in ["peppers.toml", "audit-signing-key", "keywright.db"] {
        let mode = fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    assert_refused(&run(&arguments), 1, &["set up already"]);
    let file = directory.path().join("keywright.toml");
    let mut text = fs::File::create(&file).unwrap();
    writeln!(text, "listen = \"127.0.0.1:0\"\nadmin_listen = \"off\"\ndata_dir = \"data\"").unwrap();
    let (child, mut lines) = serve(&file);
    let ready = lines.find(|line| line.contains("ready")).unwrap();
    let address = ready.split("address=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let operator = Client::new(format!("http://{address}"), secret);
    assert_eq!(operator.get("/v1/workspaces").1["data"][0]["slug"], "acme");
    end(child);
    assert_refused(&dev(&data, "127.0.0.1:0"), 64, &["`dev` did not make", "keywright serve"]);
}
