//! Nodes of one installation: real processes on a real PostgreSQL.

use std::{
    fs::{self, DirBuilder, File},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use keywright_testkit::{PostgresServer, free_port};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::Client,
    process::{directory, eventually, keywright, said},
};

/// The server of the tests that leave it alone.
pub(crate) fn shared() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start)
}

/// An installation that was set up, with a workspace `acme`.
pub(crate) struct Installation {
    pub(crate) directory: TempDir,
    url: String,
    schema: String,
    pub(crate) operator: String,
}

/// One node; killed when this is dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) config: PathBuf,
    log: PathBuf,
    url: String,
    pub(crate) operator: Client,
}

pub(crate) fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Installation {
    /// Sets it up in a schema of its own, with this lease in the workspace.
    pub(crate) fn set_up(server: &PostgresServer) -> Self {
        let mut installation = Self::empty(server.url());
        let config = installation.configure("setup", &free_address());
        let output = keywright()
            .args(["init", "--workspace", "acme", "--owner-email", "owner@example.com", "--config"])
            .arg(config)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(!said(&output).contains("could not be told"), "others wait for it: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().clone_into(&mut installation.operator);
        installation
    }

    /// One that is not set up.
    pub(crate) fn empty(url: String) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let directory = directory();
        private(&directory.path().join("pepper"), &"5a".repeat(32));
        let schema = format!("nodes_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Self { directory, url, schema, operator: String::new() }
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The configuration of a node with this name and its own data directory. Connections are given up soon when nothing moves,
    /// so that every test shows that this is not said of callers who wait for other nodes.
    pub(crate) fn configure(&self, name: &str, listen: &str) -> PathBuf {
        let directory = self.directory.path();
        let config = directory.join(format!("{name}.toml"));
        let text = format!(
            "listen = {listen:?}\nadmin_listen = \"off\"\ndata_dir = \"data-{name}\"\nworkers = 1\n\n\
             [limits]\nstall_timeout_seconds = 1\n\n\
             [database]\nurl = {:?}\nschema = {:?}\n\n[node]\nname = {name:?}\nadvertise = \"http://{listen}\"\n\n\
             [[peppers]]\nversion = 1\nfile = \"pepper\"\n\
             [[encryption_keys]]\nversion = 7\nfile = \"pepper\"\n",
            self.url, self.schema
        );
        private(&config, &text);
        let data = directory.join(format!("data-{name}"));
        if !data.exists() {
            DirBuilder::new().mode(0o700).create(&data).unwrap();
            private(&data.join("audit-signing-key"), &"a5".repeat(32));
        }
        config
    }

    /// Starts a node without waiting for it.
    pub(crate) fn launch(&self, name: &str, arguments: &[&str]) -> Node {
        let listen = free_address();
        let config = self.configure(name, &listen);
        Node::launch(&config, &listen, &self.operator, arguments)
    }

    /// Starts a node and waits until it is ready.
    pub(crate) fn start(&self, name: &str) -> Node {
        let node = self.launch(name, &[]);
        node.wait_ready();
        node
    }

    /// Starts three.
    pub(crate) fn start_three(&self) -> [Node; 3] {
        let nodes = ["a", "b", "c"].map(|name| self.launch(name, &[]));
        nodes.iter().for_each(Node::wait_ready);
        nodes
    }

    /// Runs `keywright` with the configuration of a node.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        keywright().args(arguments).current_dir(self.directory.path()).output().unwrap()
    }
}

impl Node {
    pub(crate) fn launch(config: &Path, listen: &str, operator: &str, arguments: &[&str]) -> Self {
        let log = config.with_extension("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = keywright();
        command.args(["serve", "--config"]).arg(config).args(arguments);
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let url = format!("http://{listen}");
        let operator = Client::new(url.clone(), operator.to_owned());
        Self { child, config: config.to_owned(), log, url, operator }
    }

    /// Waits until its log says something.
    pub(crate) fn wait_log(&self, says: &str) {
        eventually(says, || self.log().contains(says).then_some(()));
    }

    /// Starts it anew, with the same data directory.
    pub(crate) fn again(mut self) -> Self {
        self.kill();
        let listen = self.url.trim_start_matches("http://").to_owned();
        let credential = self.operator.clone();
        let mut node = Self::launch(&self.config, &listen, "", &[]);
        node.operator = credential;
        node
    }

    pub(crate) fn wait_ready(&self) {
        let anyone = self.anyone();
        for _ in 0..600 {
            if matches!(anyone.try_get("/readyz"), Ok((200, _))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("not ready: {}", self.log());
    }

    pub(crate) fn anyone(&self) -> Client {
        Client::new(self.url.clone(), String::new())
    }

    /// Somebody who holds this credential.
    pub(crate) fn as_holder(&self, credential: &Value) -> Client {
        Client::new(self.url.clone(), credential.as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Waits for an end that comes by itself; the exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The verdict of this node, or the error's code.
    pub(crate) fn verify(&self, secret: &str) -> String {
        let (_, answer) = self.operator.try_post("/v1/keys/verify", &json!({"key": secret})).unwrap();
        answer["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this node accepts a key.
    pub(crate) fn wait_valid(&self, secret: &str) {
        eventually("the key is known", || (self.verify(secret) == "valid").then_some(()));
    }

    /// Revokes a key; the answer, its status, and how long that took.
    pub(crate) fn revoke(&self, id: &str) -> (u16, Value, Duration) {
        #[expect(clippy::disallowed_methods, reason = "a test measures")]
        let before = Instant::now();
        let path = format!("/v1/workspaces/acme/keys/{id}/revoke");
        let (status, answer) = self.operator.try_post(&path, &json!({"reason": "test"})).unwrap();
        (status, answer, before.elapsed())
    }

    /// Sets the lease of the workspace.
    pub(crate) fn set_lease(&self, seconds: u32) {
        let body = json!({"policy": {"lease_seconds": seconds}});
        let (status, answer) = self.operator.try_patch("/v1/workspaces/acme", &body).unwrap();
        assert_eq!(status, 200, "{answer}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
        if std::thread::panicking() {
            let log = self.log();
            let told: Vec<_> = log.lines().filter(|line| !line.contains("::access")).collect();
            let mut out = std::io::stderr().lock();
            drop(writeln!(out, "--- {}\n{}", self.config.display(), told.join("\n")));
        }
    }
}
