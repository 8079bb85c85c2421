//! The configuration of `keywright serve`: a TOML file, overridden by the environment.

mod environment;
pub(crate) mod mail;
pub(crate) mod problem;
pub(crate) mod retention;
pub(crate) mod security;
pub(crate) mod sign_in;
pub(crate) mod value;

pub(crate) use problem::describe as describe_toml_error;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;

use crate::failure::{Exit, Failure};
use mail::Mail;
use sign_in::SignIn;
use value::{BaseUrl, Bounded, DatabaseAddress, Listen, Network, NodeName, OptionalListen, Tag};

/// Every key, documented, as `keywright config example` prints it.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the API is served.
    pub(crate) listen: Listen,
    /// Where metrics and health are served, if anywhere.
    pub(crate) admin_listen: OptionalListen,
    /// How clients reach the installation.
    pub(crate) base_url: Option<BaseUrl>,
    /// The data directory.
    pub(crate) data_dir: PathBuf,
    /// Threads that answer requests; 0 for one per core.
    pub(crate) workers: Bounded<0, 1_024>,
    /// The tag in issued secrets.
    pub(crate) issuer_tag: Option<Tag>,
    /// Proxies whose word on addresses is taken.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Certificate and key.
    pub(crate) tls: Option<Tls>,
    /// Where peppers come from; empty for the file in the data directory.
    pub(crate) peppers: Vec<PepperSource>,
    /// Where key-encryption keys come from; empty for the file in the data directory.
    pub(crate) encryption_keys: Vec<KeySource>,
    /// The database that is shared with other nodes; without it, an embedded one.
    pub(crate) database: Option<Database>,
    /// This node among others.
    pub(crate) node: NodeSettings,
    /// Limits of connections.
    pub(crate) limits: Limits,
    /// Accounts of people.
    pub(crate) accounts: Accounts,
    /// Usage counts.
    pub(crate) usage: Usage,
    /// Logs.
    pub(crate) log: Log,
    /// Traces.
    pub(crate) telemetry: Telemetry,
    /// How letters are sent; without it, links are shown to whoever asked for them.
    pub(crate) mail: Option<Mail>,
    /// The OpenID Connect providers that people sign in by.
    pub(crate) sign_in: Vec<SignIn>,
    /// The security event log.
    pub(crate) security_events: security::SecuritySettings,
    /// How long things are kept.
    pub(crate) retention: retention::RetentionSettings,
}

/// Certificate chain and private key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The chain, own certificate first.
    pub(crate) certificate: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

/// Where one pepper comes from: exactly one of `file` and `env`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PepperSource {
    /// The pepper's version.
    pub(crate) version: Bounded<1, 65_535>,
    /// A file that holds it.
    pub(crate) file: Option<PathBuf>,
    /// An environment variable that holds it.
    pub(crate) env: Option<String>,
}

/// Where one key-encryption key comes from: exactly one of `file`, `env` and `command`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySource {
    /// The key's version.
    pub(crate) version: Bounded<1, 65_535>,
    /// A file that holds it.
    pub(crate) file: Option<PathBuf>,
    /// An environment variable that holds it.
    pub(crate) env: Option<String>,
    /// A program that prints it, with its arguments.
    #[serde(default)]
    pub(crate) command: Vec<String>,
}

/// A `PostgreSQL` database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    /// Where it is, password included. Always there once the configuration was checked.
    pub(crate) url: Option<DatabaseAddress>,
    /// PEM file with the certificates that its own must be signed by; the connection is encrypted then.
    pub(crate) root_certificate: Option<PathBuf>,
    /// The schema with the tables.
    #[serde(default = "default_schema")]
    pub(crate) schema: String,
    /// Whether changes are announced to a session of the node's own.
    #[serde(default = "yes")]
    pub(crate) listen: bool,
}

impl Database {
    /// The database at `url`, with the usual settings.
    pub(crate) fn at(url: DatabaseAddress) -> Self {
        Self { url: Some(url), root_certificate: None, schema: default_schema(), listen: true }
    }
}

fn default_schema() -> String {
    "keywright".to_owned()
}

const fn yes() -> bool {
    true
}

/// A node of an installation with several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeSettings {
    /// What people know it by; without it, the host's name.
    pub(crate) name: Option<NodeName>,
    /// Where the other nodes reach its public port.
    pub(crate) advertise: Option<BaseUrl>,
}

/// Limits of connections. Those of single requests are constants of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Open connections.
    pub(crate) connections: Bounded<1, 1_000_000>,
    /// Open connections of one address that is not a trusted proxy.
    pub(crate) connections_per_address: Bounded<1, 1_000_000>,
    /// Bytes of a request's head.
    pub(crate) header_bytes: Bounded<8_192, 1_048_576>,
    /// Header lines of a request.
    pub(crate) headers: Bounded<16, 1_024>,
    /// For a TLS handshake.
    pub(crate) handshake_timeout_seconds: Bounded<1, 600>,
    /// For a request's head.
    pub(crate) header_timeout_seconds: Bounded<1, 600>,
    /// Between requests.
    pub(crate) idle_timeout_seconds: Bounded<1, 86_400>,
    /// Without any byte moved while an answer is on its way.
    pub(crate) stall_timeout_seconds: Bounded<1, 3_600>,
    /// Requests at once on one HTTP/2 connection.
    pub(crate) http2_streams: Bounded<1, 10_000>,
    /// For running requests at shutdown.
    pub(crate) drain_seconds: Bounded<0, 3_600>,
    /// Requests without a credential of one address, per minute; 0 for no limit.
    pub(crate) unauthenticated_per_minute: Bounded<0, 1_000_000>,
    /// The same per hour.
    pub(crate) unauthenticated_per_hour: Bounded<0, 10_000_000>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Bounded::of(10_000),
            connections_per_address: Bounded::of(2_000),
            header_bytes: Bounded::of(32_768),
            headers: Bounded::of(100),
            handshake_timeout_seconds: Bounded::of(10),
            header_timeout_seconds: Bounded::of(10),
            idle_timeout_seconds: Bounded::of(75),
            stall_timeout_seconds: Bounded::of(60),
            http2_streams: Bounded::of(128),
            drain_seconds: Bounded::of(30),
            unauthenticated_per_minute: Bounded::of(100),
            unauthenticated_per_hour: Bounded::of(1_000),
        }
    }
}

/// Accounts of people who sign in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Accounts {
    /// A session ends when it was not used for so long.
    pub(crate) session_idle_minutes: Bounded<5, 43_200>,
    /// A session ends so long after signing in.
    pub(crate) session_hours: Bounded<1, 8_760>,
    /// A sorted file of SHA-1 digests of breached passwords.
    pub(crate) breached_passwords_file: Option<PathBuf>,
    /// A program that knows breached passwords, with its arguments.
    pub(crate) breached_passwords_command: Vec<String>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            session_idle_minutes: Bounded::of(720),
            session_hours: Bounded::of(336),
            breached_passwords_file: None,
            breached_passwords_command: Vec::new(),
        }
    }
}

/// How usage counts wait for the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Usage {
    /// Most bytes of the spool.
    pub(crate) spool_bytes: Bounded<1_048_576, 4_294_967_295>,
}

impl Default for Usage {
    fn default() -> Self {
        Self { spool_bytes: Bounded::of(1_073_741_824) }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// How lines look.
    pub(crate) format: LogFormat,
    /// Directives of `tracing-subscriber`'s `EnvFilter`.
    pub(crate) level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// An OTLP collector (HTTP).
    pub(crate) otlp_endpoint: Option<BaseUrl>,
    /// The service's name.
    pub(crate) service_name: String,
    /// Share of requests that are traced.
    pub(crate) sample_percent: Bounded<0, 100>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, service_name: "keywright".to_owned(), sample_percent: Bounded::of(10) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen(([127, 0, 0, 1], 8080).into()),
            admin_listen: OptionalListen(Some(([127, 0, 0, 1], 9090).into())),
            base_url: None,
            data_dir: PathBuf::from("keywright-data"),
            workers: Bounded::of(0),
            issuer_tag: None,
            trusted_proxies: Vec::new(),
            tls: None,
            peppers: Vec::new(),
            encryption_keys: Vec::new(),
            database: None,
            node: NodeSettings::default(),
            limits: Limits::default(),
            accounts: Accounts::default(),
            usage: Usage::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
            mail: None,
            sign_in: Vec::new(),
            security_events: security::SecuritySettings::default(),
            retention: retention::RetentionSettings::default(),
        }
    }
}

impl Config {
    /// Reads the file at `path` and the overrides of the environment.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &path.display().to_string(), &process_environment())
            .map(|config| config.relative_to(directory))
    }

    /// That of the file, or, where none is named, of the environment alone.
    pub(crate) fn of(file: Option<&Path>) -> Result<Self, Failure> {
        file.map_or_else(Self::from_environment, Self::load)
    }

    /// The defaults and the overrides of the environment.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        Self::parse("", "the environment", &process_environment())
    }

    fn parse(text: &str, source: &str, variables: &[(String, String)]) -> Result<Self, Failure> {
        // Read alone first: errors of the merged table have no line.
        toml::from_str::<Self>(text).map_err(|error| problem::describe(text, source, &error))?;
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| problem::describe(text, source, &error))?;
        environment::apply(&mut table, variables)?;
        let config: Self = table.try_into().map_err(|error: toml::de::Error| {
            Failure::new(Exit::Config, format!("{source}, with the environment: {}", error.message()))
        })?;
        config.check(source)?;
        Ok(config)
    }

    /// What concerns more than one key.
    fn check(&self, source: &str) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(Exit::Config, format!("{source}: {message}")));
        let mut versions = std::collections::BTreeSet::new();
        for pepper in &self.peppers {
            let version = pepper.version.get();
            if pepper.file.is_some() == pepper.env.is_some() {
                return wrong(format!("peppers: version {version} needs either `file` or `env`"));
            }
            if !versions.insert(version) {
                return wrong(format!("peppers: version {version} is there twice"));
            }
        }
        let mut versions = std::collections::BTreeSet::new();
        for key in &self.encryption_keys {
            let (version, sources) =
                (key.version.get(), [key.file.is_some(), key.env.is_some(), !key.command.is_empty()]);
            if sources.into_iter().filter(|named| *named).count() != 1 {
                return wrong(format!(
                    "encryption_keys: version {version} needs one of `file`, `env` and `command`"
                ));
            }
            if !versions.insert(version) {
                return wrong(format!("encryption_keys: version {version} is there twice"));
            }
        }
        let accounts = &self.accounts;
        if accounts.breached_passwords_file.is_some() && !accounts.breached_passwords_command.is_empty() {
            return wrong(
                "accounts: either breached_passwords_file or breached_passwords_command".to_owned(),
            );
        }
        if self.database.as_ref().is_some_and(|database| database.url.is_none()) {
            return wrong("database.url is missing: set it, or KEYWRIGHT_DATABASE_URL".to_owned());
        }
        if let Some(problem) = sign_in::problem(&self.sign_in) {
            return wrong(problem);
        }
        if let Some(problem) = self.mail.as_ref().and_then(Mail::problem) {
            return wrong(problem.to_owned());
        }
        if self.admin_listen.0 == Some(self.listen.0) && self.listen.0.port() != 0 {
            return wrong("listen and admin_listen are the same address".to_owned());
        }
        if let Some(problem) = self.retention.problem() {
            return wrong(problem);
        }
        if let Some(name) = self.security_events.repeated_name() {
            return wrong(format!("security_events: two sinks are called {name}"));
        }
        if let Err(error) = self.log.level.parse::<tracing_subscriber::filter::EnvFilter>() {
            return wrong(format!("log.level: {error}"));
        }
        Ok(())
    }

    fn relative_to(mut self, directory: &Path) -> Self {
        let rebase = |path: &mut PathBuf| *path = directory.join(&*path);
        rebase(&mut self.data_dir);
        if let Some(tls) = &mut self.tls {
            rebase(&mut tls.certificate);
            rebase(&mut tls.key);
        }
        if let Some(root) = self.database.as_mut().and_then(|database| database.root_certificate.as_mut()) {
            rebase(root);
        }
        if let Some(list) = &mut self.accounts.breached_passwords_file {
            rebase(list);
        }
        if let Some(mail) = &mut self.mail {
            mail.password_file.iter_mut().chain(&mut mail.root_certificate).for_each(rebase);
        }
        for provider in &mut self.sign_in {
            provider.client_secret_file.iter_mut().chain(&mut provider.root_certificate).for_each(rebase);
        }
        self.peppers.iter_mut().filter_map(|pepper| pepper.file.as_mut()).for_each(rebase);
        self.encryption_keys.iter_mut().filter_map(|key| key.file.as_mut()).for_each(rebase);
        self.security_events.rebase(directory);
        self
    }

    /// What people know this node by.
    pub(crate) fn node_name(&self) -> String {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.node.name.as_ref().map_or_else(host, |name| name.0.clone())
    }

    /// The trusted proxies' networks.
    pub(crate) fn trusted_networks(&self) -> Vec<IpNet> {
        self.trusted_proxies.iter().map(|network| network.0).collect()
    }

    /// Threads that answer requests.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers.get() {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => usize::try_from(count).expect("a small number"),
        }
    }

    /// How long running requests are given at shutdown.
    pub(crate) fn drain(&self) -> Duration {
        seconds(self.limits.drain_seconds)
    }
}

/// A configured number of seconds.
pub(crate) fn seconds<const MIN: u32, const MAX: u32>(value: Bounded<MIN, MAX>) -> Duration {
    Duration::from_secs(u64::from(value.get()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Exit::NoInput, format!("cannot read {}: {error}", path.display()));
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            failure.remedy(format!("write one with: keywright config example > {}", path.display()))
        }
        _ => failure,
    }
}

fn process_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with(environment::PREFIX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::parse(text, "keywright.toml", &variables).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_example_is_read_and_states_the_defaults() {
        let example = parse(EXAMPLE, &[]).unwrap();
        let defaults = Config::default();
        assert_eq!(example.limits, defaults.limits);
        assert_eq!(example.usage, defaults.usage);
        assert_eq!(example.log, defaults.log);
        assert_eq!(example.listen, defaults.listen);
        assert_eq!(example.admin_listen, defaults.admin_listen);
        assert_eq!(example.workers, defaults.workers);
        assert_eq!(example.data_dir, defaults.data_dir);
        assert_eq!(example.security_events.sinks.len(), 4);
        assert_eq!(example.retention, defaults.retention);
        assert_eq!(example.security_events.refused_per_minute, defaults.security_events.refused_per_minute);
        assert_eq!(example.security_events.limited_per_minute, defaults.security_events.limited_per_minute);
        assert_eq!(example.security_events.addresses, defaults.security_events.addresses);
        assert_eq!(example.telemetry.sample_percent, defaults.telemetry.sample_percent);
    }

    #[test]
    fn every_key_is_in_the_example_and_in_the_document() {
        let document = include_str!("../../../../docs/configuration.md");
        for key in environment::KEYS {
            let last = key.path.last().expect("a key has a name");
            let shown = ["\n", "\n# "].iter().any(|line| EXAMPLE.contains(&format!("{line}{last} = ")));
            assert!(shown, "{last} in the example");
            assert!(document.contains(&format!("`{}`", key.path.join("."))), "{last} in the document");
            assert!(document.contains(&key.variable()), "{} in the document", key.variable());
        }
    }

    #[test]
    fn errors_name_line_column_and_the_likely_key() {
        let error = parse("listen = \"127.0.0.1:1\"\nworkrs = 2\n", &[]).unwrap_err();
        assert!(error.contains("keywright.toml:2:1: unknown key `workrs`"), "{error}");
        assert!(error.contains("did you mean `workers`?"), "{error}");
        let error = parse("[limits]\nconnections = 0\n", &[]).unwrap_err();
        assert!(error.contains("keywright.toml:2:15: 0 is out of range: from 1 to 1000000"), "{error}");
        let error = parse("listen = \n", &[]).unwrap_err();
        assert!(error.contains("keywright.toml:1:"), "{error}");
        let error = parse("[limits]\nconnections = \"many\"\n", &[]).unwrap_err();
        assert!(
            error.contains("keywright.toml:2:15") && error.contains("expected a whole number"),
            "{error}"
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (text, expected) in [
            ("[[peppers]]\nversion = 1\n", "either `file` or `env`"),
            ("[[encryption_keys]]\nversion = 1\n", "needs one of `file`, `env` and `command`"),
            ("[[encryption_keys]]\nversion = 1\nenv = \"B\"\ncommand = [\"a\"]\n", "needs one of"),
            (
                "[[encryption_keys]]\nversion = 1\nenv = \"B\"\n[[encryption_keys]]\nversion = 1\nenv = \"B\"\n",
                "twice",
            ),
            ("[[peppers]]\nversion = 1\nfile = \"a\"\nenv = \"B\"\n", "either `file` or `env`"),
            ("[[peppers]]\nversion = 1\nfile = \"a\"\n[[peppers]]\nversion = 1\nfile = \"b\"\n", "twice"),
            ("[mail]\nurl = \"smtp://localhost\"\n", "mail.from is missing"),
            ("[retention]\nusage_minute_days = 30\n", "at least 733"),
            ("listen = \"127.0.0.1:9090\"\n", "same address"),
            (
                "[[security_events.sinks]]\nname = \"a\"\ntype = \"stdout\"\n[[security_events.sinks]]\nname = \"a\"\ntype = \"stdout\"\n",
                "two sinks are called a",
            ),
            ("[log]\nlevel = \"=loud=\"\n", "log.level"),
        ] {
            let error = parse(text, &[]).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_environment_overrides_and_is_checked() {
        let config = parse(
            "workers = 1\n",
            &[
                ("KEYWRIGHT_WORKERS", "3"),
                ("KEYWRIGHT_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
                ("KEYWRIGHT_LIMITS_CONNECTIONS", "12"),
                ("KEYWRIGHT_TLS_CERTIFICATE", "c"),
                ("KEYWRIGHT_TLS_KEY", "k"),
            ],
        )
        .unwrap();
        assert_eq!((config.workers.get(), config.limits.connections.get()), (3, 12));
        assert_eq!(config.trusted_proxies.len(), 2);
        assert!(config.tls.is_some());
        let error = parse("", &[("KEYWRIGHT_WORKERS", "many")]).unwrap_err();
        assert!(error.contains("KEYWRIGHT_WORKERS"), "{error}");
        let error = parse("", &[("KEYWRIGHT_LISTN", "127.0.0.1:1")]).unwrap_err();
        assert!(error.contains("did you mean KEYWRIGHT_LISTEN?"), "{error}");
        // Variables of the command line client are none of our business.
        assert!(parse("", &[("KEYWRIGHT_URL", "x"), ("KEYWRIGHT_KEY", "y")]).is_ok());
    }

    #[test]
    fn paths_start_at_the_file() {
        let config = parse("data_dir = \"data\"\n", &[]).unwrap().relative_to(Path::new("/etc/keywright"));
        assert_eq!(config.data_dir, Path::new("/etc/keywright/data"));
    }
}
