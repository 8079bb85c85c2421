//! A `PostgreSQL` server of one's own: started on a private port in a temporary directory, gone when the test is.
//!
//! Needs the Debian package `postgresql`, whose programs are in `/usr/lib/postgresql/<version>/bin`.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    thread,
    time::Duration,
};

use crate::{entropy::random, port::free_port};

/// Where Debian puts the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// `PostgreSQL` refuses to run as root; then it runs as this user.
const USER: &str = "postgres";
/// The superuser of a server.
const ROLE: &str = "keywright";
/// A server that lost its parent to SIGKILL holds its shared memory a moment longer.
const START_TRIES: u32 = 50;
const START_REST: Duration = Duration::from_millis(100);

/// Small and quick; durable as by default.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("shared_buffers", "16MB"),
    ("max_connections", "200"),
    ("wal_level", "replica"),
    ("max_wal_size", "256MB"),
    ("log_min_messages", "warning"),
    ("log_error_verbosity", "terse"),
];

/// A running, or stopped, server. It ends, and its files go, when this is dropped or the test's process ends, however it
/// ends.
#[derive(Debug)]
pub struct PostgresServer {
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    password: String,
    /// Ends the server and removes the files when its standard input ends.
    reaper: Child,
    reaper_stdin: Option<ChildStdin>,
}

impl PostgresServer {
    /// Starts a new, empty server.
    ///
    /// # Panics
    /// `PostgreSQL` is not installed, or does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a new, empty server with these settings of `postgresql.conf` beside the fixture's.
    ///
    /// # Panics
    /// `PostgreSQL` is not installed, or does not start.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let server = Self::prepare(random_hex());
        let password_file = server.directory.join("password");
        fs::write(&password_file, &server.password).unwrap();
        give_away(&password_file);
        let mut initdb = server.program("initdb");
        initdb.args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--auth=scram-sha-256", "--username", ROLE, "--pwfile"]).arg(&password_file);
        run(initdb.arg("--pgdata").arg(server.data_directory()));
        fs::remove_file(password_file).unwrap();
        server.configure(SETTINGS);
        server.configure(&[("port", &server.port.to_string())]);
        server.configure(settings);
        server.start_again();
        server
    }

    /// Starts a standby of this server, which streams from it. Its `primary_conninfo` has the application name `name`,
    /// as `synchronous_standby_names` wants it.
    ///
    /// # Panics
    /// The copy cannot be made.
    #[must_use]
    pub fn standby(&self, name: &str) -> Self {
        let standby = Self::prepare(self.password.clone());
        let source = format!("host=127.0.0.1 port={} user={ROLE} application_name={name}", self.port);
        let mut copy = standby.program("pg_basebackup");
        copy.env("PGPASSWORD", &self.password);
        copy.args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--wal-method=stream"]);
        run(copy.args(["--dbname", &source, "--pgdata"]).arg(standby.data_directory()));
        standby.configure(&[("port", &standby.port.to_string())]);
        standby.start_again();
        standby
    }

    fn prepare(password: String) -> Self {
        let directory = std::env::temp_dir().join(format!("keywright-postgres-{}", random_hex()));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        give_away(&directory);
        let programs = programs();
        let (reaper, reaper_stdin) = start_reaper(&directory);
        Self { directory, programs, port: free_port(), password, reaper, reaper_stdin: Some(reaper_stdin) }
    }

    /// The address of its database, password included.
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The address of its database by way of a proxy on another port.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://{ROLE}:{}@127.0.0.1:{port}/postgres", self.password)
    }

    /// The port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The directory with the server's data.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Adds settings to `postgresql.conf`; they take effect at the next start, or some of them with
    /// [`PostgresServer::reload`].
    pub fn configure(&self, settings: &[(&str, &str)]) {
        let path = self.data_directory().join("postgresql.auto.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        for (name, value) in settings {
            writeln!(file, "{name} = '{value}'").unwrap();
        }
    }

    /// Puts a file into the server's data directory, readable for the server only: a certificate or its key.
    pub fn put_file(&self, name: &str, content: &str) {
        let path = self.data_directory().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        give_away(&path);
    }

    /// Has the running server read its settings again.
    pub fn reload(&self) {
        self.control(&["reload"]);
    }

    /// Runs SQL as the superuser and returns the rows, columns separated by `|`.
    ///
    /// # Panics
    /// It fails.
    pub fn sql(&self, sql: &str) -> String {
        let output = self.try_sql(sql);
        check(&output, sql);
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs SQL as the superuser.
    pub fn try_sql(&self, sql: &str) -> Output {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.env("PGPASSWORD", &self.password).args([
            "--no-psqlrc",
            "--no-align",
            "--tuples-only",
            "--quiet",
        ]);
        psql.args(["--set=ON_ERROR_STOP=1", "--host=127.0.0.1", "--dbname=postgres"]);
        psql.args(["--port", &self.port.to_string(), "--username", ROLE, "--command", sql]);
        psql.stdin(Stdio::null()).output().unwrap()
    }

    /// Starts the stopped server.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&self) {
        let log = self.directory.join("log");
        for _ in 0..START_TRIES {
            let mut start = self.program("pg_ctl");
            start.args(["start", "--silent", "--wait", "--timeout=30", "--log"]).arg(&log).arg("--pgdata");
            let started = start.arg(self.data_directory()).stdin(Stdio::null()).stdout(Stdio::null());
            if started.stderr(Stdio::null()).status().unwrap().success() {
                return;
            }
            thread::sleep(START_REST);
        }
        panic!("PostgreSQL does not start:\n{}", self.log());
    }

    /// Ends the server in good order: clients are disconnected, what was written is on disk.
    pub fn stop(&self) {
        self.control(&["stop", "--mode=fast", "--wait"]);
    }

    /// Ends the server as a crash does: the next start recovers.
    pub fn stop_immediate(&self) {
        self.control(&["stop", "--mode=immediate", "--wait"]);
    }

    /// Crashes the server and starts it again.
    pub fn restart_immediate(&self) {
        self.stop_immediate();
        self.start_again();
    }

    /// Ends the server in good order and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Sends SIGKILL to all processes of the server, and waits until they are gone.
    pub fn kill(&self) {
        let first = self.pid().expect("the server runs");
        let mut all = vec![first];
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        all.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        let pids = all.iter().map(u32::to_string);
        // One of the children may have ended by itself.
        drop(Command::new("kill").arg("-KILL").args(pids).output().unwrap());
        while all.iter().any(|pid| is_running(*pid)) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends a signal, such as `STOP` or `CONT`, to the server's first process.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().expect("the server runs");
        run(Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()));
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        self.control(&["promote", "--wait"]);
    }

    /// The first process's id.
    pub fn pid(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data_directory().join("postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok()
    }

    fn control(&self, arguments: &[&str]) {
        let mut control = self.program("pg_ctl");
        run(control.args(arguments).arg("--silent").arg("--pgdata").arg(self.data_directory()));
    }

    /// A program of `PostgreSQL`, to be run as a user who may.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
            command.args(user).arg("--clear-groups").arg(path);
            command
        } else {
            Command::new(path)
        };
        command.env("LC_ALL", "C").current_dir(&self.directory);
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.reaper_stdin = None;
        drop(self.reaper.wait());
    }
}

/// Tests end in more ways than a `Drop` sees: the reaper outlives the test by a moment and cleans up.
fn start_reaper(directory: &Path) -> (Child, ChildStdin) {
    let script = r#"trap '' INT TERM HUP
        cat > /dev/null
        if pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null); then
            kill -QUIT "$pid" 2> /dev/null
            for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.05; done
        fi
        rm -rf "$1""#;
    let mut reaper = Command::new("sh");
    reaper.args(["-c", script, "reaper"]).arg(directory).current_dir("/");
    reaper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut reaper = reaper.spawn().unwrap();
    let stdin = reaper.stdin.take().unwrap();
    (reaper, stdin)
}

/// The programs of the newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).unwrap_or_else(|error| {
        panic!("{VERSIONS}: {error}; install PostgreSQL: apt-get install postgresql")
    });
    let version = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let with_server = |version: &u32| programs_of(*version).join("postgres").exists();
    let newest = versions.filter_map(|entry| version(entry.ok()?)).filter(with_server).max();
    programs_of(newest.expect("a version of PostgreSQL with its server: apt-get install postgresql"))
}

fn programs_of(version: u32) -> PathBuf {
    Path::new(VERSIONS).join(version.to_string()).join("bin")
}

fn random_hex() -> String {
    random::<12>().iter().fold(String::with_capacity(24), |mut hex, byte| {
        std::fmt::Write::write_fmt(&mut hex, format_args!("{byte:02x}")).unwrap();
        hex
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Gives a file to the user that the server runs as.
fn give_away(path: &Path) {
    if is_root() {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with(&format!("{USER}:")));
        let fields: Vec<u32> = line
            .unwrap_or_else(|| panic!("there is no user {USER}: apt-get install postgresql"))
            .split(':')
            .skip(2)
            .take(2)
            .map(|field| field.parse().unwrap())
            .collect();
        chown(path, Some(fields[0]), Some(fields[1])).unwrap();
    }
}

/// Whether a process runs; one that ended and that nobody waited for does not.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    check(&output, &command.get_program().to_string_lossy());
}

fn check(output: &Output, what: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {error}{}", String::from_utf8_lossy(&output.stdout));
}
