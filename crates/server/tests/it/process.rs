//! Starting and ending the real binary.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;

/// How long anything may take that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The binary, without the environment of whoever runs the tests.
pub(crate) fn keywright() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("KEYWRIGHT_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    keywright().args(arguments).output().unwrap()
}

/// What a command said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory of its own, made private as the binary wants it.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix("keywright-test-").tempdir().unwrap()
}

/// A running `keywright dev`.
pub(crate) struct Dev {
    child: Child,
    line: Value,
    stdout_rest: BufReader<std::process::ChildStdout>,
    log: PathBuf,
}

impl Dev {
    /// Starts on a free port with the data in `directory`.
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(directory: &Path, variables: &[(&str, &str)]) -> Self {
        let log = directory.join(format!("stderr-{}.log", std::process::id()));
        let log_file = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = keywright()
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory.join("data"))
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let mut stdout_rest = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout_rest.read_line(&mut line).unwrap();
        let line = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("no line of JSON ({error}): {line}\n{}", std::fs::read_to_string(&log).unwrap())
        });
        Self { child, line, stdout_rest, log }
    }

    /// A text of the line, by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> String {
        self.line
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no {pointer}"))
            .to_owned()
    }

    pub(crate) fn url(&self) -> String {
        self.text("/url")
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.url().rsplit('/').next().unwrap().to_owned()
    }

    /// A client that may do everything an Owner may.
    pub(crate) fn owner(&self) -> Client {
        Client::new(self.url(), self.text("/management_key"))
    }

    /// A client with the operator credential.
    pub(crate) fn operator(&self) -> Client {
        Client::new(self.url(), self.text("/operator_key"))
    }

    /// A client of the admin listener.
    pub(crate) fn admin(&self) -> Client {
        Client::new(self.text("/admin_url"), String::new())
    }

    pub(crate) const fn line(&self) -> &Value {
        &self.line
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.child.wait().unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; what it still printed on standard output, and its log.
    pub(crate) fn ended(mut self) -> (ExitStatus, String, String) {
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        while self.stdout_rest.read_line(&mut rest).unwrap() > 0 {}
        (status, rest, std::fs::read_to_string(&self.log).unwrap())
    }

    /// Ends it in order; its log.
    pub(crate) fn stop(self) -> String {
        self.signal(rustix::process::Signal::TERM);
        let (status, rest, log) = self.ended();
        assert!(status.success(), "{status}: {log}");
        assert_eq!(rest, "", "exactly one line on standard output");
        log
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.is_running() {
            // A test failed in between.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Tries until it gives something, or fails after [`SOON`].
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..SOON.as_millis() / 50 {
        if let Some(value) = attempt() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not in time: {what}");
}
