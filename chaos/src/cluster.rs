//! An installation of real processes: nodes, each behind a proxy of its own, on one PostgreSQL.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use keywright_testkit::{PostgresServer, free_port};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client::{Client, WORKSPACE},
    proxy::Proxy,
};

/// How long a node may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// How the servers are run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The executable.
    pub keywright: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// What the processes get in their environment, by node.
    pub environment: Vec<(usize, String, String)>,
    /// Where logs and data go.
    pub directory: PathBuf,
    /// Whether each node reaches PostgreSQL by way of a proxy, so that it can be cut off.
    pub has_proxies: bool,
    /// Whether a standby follows synchronously, to be promoted.
    pub has_standby: bool,
}

/// One node.
pub struct Node {
    name: String,
    /// Where its public port is.
    pub base: String,
    /// Between it and PostgreSQL.
    pub proxy: Proxy,
    config: PathBuf,
    log: PathBuf,
    keywright: PathBuf,
    environment: Vec<(String, String)>,
    child: Mutex<Option<Child>>,
}

/// The servers of PostgreSQL.
pub struct Database {
    /// The server that takes writes.
    pub primary: PostgresServer,
    standby: Option<PostgresServer>,
}

/// All of it.
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Their PostgreSQL.
    pub database: Mutex<Database>,
    /// An operator credential.
    pub operator: String,
}

const STANDBY: &str = "chaos_standby";

impl Cluster {
    /// Starts PostgreSQL, initialises the installation and starts the nodes.
    ///
    /// # Errors
    /// A process cannot be run, or does not do what it should.
    pub fn start(setup: &Setup) -> Result<Self> {
        let settings = [("wal_level", "replica"), ("max_wal_senders", "4"), ("max_connections", "200")];
        let primary = PostgresServer::start_with(&settings);
        let standby = setup.has_standby.then(|| follow(&primary));
        let pepper = setup.directory.join("pepper");
        private(&pepper, &random_hex::<32>()?)?;
        let mut nodes = Vec::new();
        for number in 0..setup.nodes {
            nodes.push(Node::prepare(setup, number, &primary, &pepper)?);
        }
        let operator = nodes[0].init()?;
        share_signing_key(&nodes, &setup.directory)?;
        for node in &nodes {
            node.start()?;
        }
        let cluster = Self { nodes, database: Mutex::new(Database { primary, standby }), operator };
        let client = Client::new(&cluster.operator, Duration::from_secs(2));
        for node in &cluster.nodes {
            node.wait_ready(&client)?;
        }
        Ok(cluster)
    }

    /// The primary dies, and the standby takes over; then a new standby follows the new primary.
    ///
    /// # Errors
    /// A process cannot be run, or does not do what it should.
    pub fn fail_over(&self) -> Result<()> {
        let mut database = self.database.lock();
        let Some(standby) = database.standby.take() else { bail!("there is no standby") };
        database.primary.kill();
        standby.promote();
        // A lone primary: with nobody to wait for, commits would hang.
        wait_for(&standby, "");
        for node in &self.nodes {
            node.proxy.retarget(standby.port());
        }
        database.primary = standby;
        let next = follow(&database.primary);
        database.standby = Some(next);
        Ok(())
    }
}

/// Starts a standby that commits wait for.
fn follow(primary: &PostgresServer) -> PostgresServer {
    let standby = primary.standby(STANDBY);
    wait_for(primary, STANDBY);
    standby
}

/// From now on commits wait for this standby; for none, if it has no name.
fn wait_for(primary: &PostgresServer, standby: &str) {
    primary.sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'"));
    primary.sql("SELECT pg_reload_conf()");
}

/// All nodes sign checkpoints with the same key.
fn share_signing_key(nodes: &[Node], directory: &Path) -> Result<()> {
    let name = "audit-signing-key";
    let first = directory.join(&nodes[0].name).join(name);
    if !first.exists() {
        return Ok(());
    }
    for node in &nodes[1..] {
        let data = directory.join(&node.name);
        fs::create_dir_all(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
        fs::copy(&first, data.join(name))?;
    }
    Ok(())
}

fn private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn random_hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

impl Node {
    fn prepare(setup: &Setup, number: usize, primary: &PostgresServer, pepper: &Path) -> Result<Self> {
        let name = format!("node-{}", number + 1);
        let proxy = Proxy::start(primary.port())?;
        let base = format!("http://127.0.0.1:{}", free_port());
        let data = setup.directory.join(&name);
        let config = setup.directory.join(format!("{name}.toml"));
        let text = format!(
            "listen = {:?}\nadmin_listen = \"off\"\ndata_dir = \"{}\"\nworkers = 1\n\n\
             [database]\nurl = {:?}\n\n[node]\nname = {name:?}\nadvertise = {base:?}\n\n\
             [[peppers]]\nversion = 1\nfile = \"{}\"\n\n\
             [[encryption_keys]]\nversion = 1\nfile = \"{}\"\n",
            base.trim_start_matches("http://"),
            data.display(),
            if setup.has_proxies { primary.url_through(proxy.port()) } else { primary.url() },
            pepper.display(),
            // The same file: what is measured here is not how keys are kept.
            pepper.display(),
        );
        private(&config, &text)?;
        let environment = setup.environment.iter().filter(|(of, ..)| *of == number);
        Ok(Self {
            log: setup.directory.join(format!("{name}.log")),
            environment: environment.map(|(_, name, value)| (name.clone(), value.clone())).collect(),
            keywright: setup.keywright.clone(),
            child: Mutex::new(None),
            name,
            base,
            proxy,
            config,
        })
    }

    /// Makes the installation and returns the operator credential.
    fn init(&self) -> Result<String> {
        let mut command = Command::new(&self.keywright);
        command.arg("init").arg("--config").arg(&self.config);
        command.args(["--workspace", WORKSPACE, "--owner-email", "owner@chaos.example"]);
        let output = command.output().with_context(|| format!("cannot run {}", self.keywright.display()))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "keywright init: {errors}");
        let text = String::from_utf8(output.stdout)?;
        let credential = text.split_whitespace().find(|word| word.starts_with("ok_"));
        Ok(credential.context("keywright init printed no operator credential")?.to_owned())
    }

    /// Starts the process.
    ///
    /// # Errors
    /// A process cannot be run, or does not do what it should.
    pub fn start(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.keywright)
            .args(["serve", "--config"])
            .arg(&self.config)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.keywright.display()))?;
        *self.child.lock() = Some(child);
        Ok(())
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// A process cannot be run, or does not do what it should.
    pub fn wait_ready(&self, client: &Client) -> Result<()> {
        let deadline = Instant::now() + START_MAX;
        while Instant::now() < deadline {
            if client.is_ready(&self.base) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{} does not get ready; see {}", self.name, self.log.display())
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.child.lock() {
            // One that has ended cannot be signalled, and need not.
            kill_process(Pid::from_child(child), signal).ok();
        }
    }

    /// Stops the process where it is; its clients still reach its port.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the process without a warning.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Ends the process in good order.
    ///
    /// # Errors
    /// A process cannot be run, or does not do what it should.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM);
        if let Some(mut child) = self.child.lock().take() {
            ensure!(child.wait()?.success(), "{} did not end well; see {}", self.name, self.log.display());
        }
        Ok(())
    }

    /// The process's id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.lock().as_ref().map(Child::id)
    }

    /// Whether the process ended by itself.
    pub fn has_ended(&self) -> bool {
        self.child.lock().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
