//! `keywright serve`: production.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use keywright_domain::entropy::random_bytes;
use zeroize::Zeroizing;

use crate::{
    config::{Config, Database, value::DatabaseAddress},
    failure::{Exit, Failure},
    installation::{DataDirectory, OpenOptions, Opened, Progress, SharedOptions},
    ops::{self, WaitingRoom},
    serving::{ListenOptions, Listeners, Serving, block_on},
    system::SystemEntropy,
};

const OPTIONS: ListenOptions = ListenOptions {
    public: "`listen` in the configuration (or KEYWRIGHT_LISTEN)",
    admin: "`admin_listen` in the configuration (or KEYWRIGHT_ADMIN_LISTEN; \"off\" for none)",
};

/// Serve an installation.
#[derive(Debug, Args)]
#[command(after_help = "\
The first start prints a one-time link to set the installation up with a browser; `keywright init` does the same on the
terminal. SIGTERM ends in order, SIGHUP looks at the certificate.

Examples:
  keywright config example > keywright.toml && keywright serve --config keywright.toml
  KEYWRIGHT_DATA_DIR=/var/lib/keywright KEYWRIGHT_LISTEN=0.0.0.0:8080 keywright serve
  KEYWRIGHT_DATABASE_URL=postgres://keywright@db/keywright keywright serve --config keywright.toml")]
pub(crate) struct Serve {
    /// The configuration; without it, the defaults and the environment
    #[arg(long, value_name = "FILE", env = "KEYWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// A PostgreSQL database that several nodes share, instead of `database.url` in the configuration. A password in it
    /// can be seen by other users of this machine: rather set `KEYWRIGHT_DATABASE_URL`
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// How long the database may be out of reach at the start
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    start_timeout: u32,
}

impl Serve {
    /// Serves until a signal ends it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut config = Config::of(self.config.as_deref())?;
        set_database(&mut config, self.database)?;
        ops::log::start(&config.log)?;
        block_on(serve(&config, Duration::from_secs(self.start_timeout.into())))
    }
}

/// `--database`.
pub(crate) fn set_database(config: &mut Config, url: Option<String>) -> Result<(), Failure> {
    let Some(url) = url else { return Ok(()) };
    let url = DatabaseAddress::try_from(url)
        .map_err(|error| Failure::new(Exit::Usage, format!("--database: {error}")))?;
    match &mut config.database {
        Some(database) => database.url = Some(url),
        None => config.database = Some(Database::at(url)),
    }
    Ok(())
}

/// Opens the installation, whatever database it has. `progress` is told what is waited for.
pub(crate) async fn open(
    config: &Config,
    directory: &DataDirectory,
    patience: Duration,
    progress: Progress<'_>,
) -> Result<Opened, Failure> {
    let options = OpenOptions::of(config);
    let Some(database) = &config.database else { return Opened::open(directory, options).await };
    let shared = SharedOptions {
        database,
        name: config.node_name(),
        address: config.node.advertise.as_ref().map_or_else(String::new, |url| url.as_str().to_owned()),
        patience,
    };
    Opened::open_shared(directory, options, shared, progress).await
}

async fn serve(config: &Config, patience: Duration) -> Result<(), Failure> {
    let listeners = Listeners::bind(config, OPTIONS)?;
    let directory = DataDirectory::create(&config.data_dir)?;
    let opened = if config.database.is_some() {
        let room = WaitingRoom::open(&listeners, config)?;
        let opened = open(config, &directory, patience, &|cause| room.tell(cause)).await?;
        room.close().await;
        opened
    } else {
        open(config, &directory, patience, &|_| {}).await?
    };
    let (is_set_up, keys) = (opened.is_set_up, opened.engine.gauges().keys);
    let (base_url, address) = (listeners.base_url(config), listeners.public.address());
    let admin = listeners.admin.as_ref().map(|bound| bound.address().to_string());
    let serving = Serving::start(opened, config, listeners)?;
    tracing::info!(
        %address,
        admin = admin.as_deref().unwrap_or("off"),
        tls = config.tls.is_some(),
        workers = config.worker_count(),
        keys,
        "ready"
    );
    if !is_set_up {
        invite(&serving, &base_url)?;
    }
    serving.run().await
}

/// Prints the one-time link. The token lives in this process only; the next start makes another one.
fn invite(serving: &Serving, base_url: &str) -> Result<(), Failure> {
    let token = Zeroizing::new(hex::encode(*Zeroizing::new(random_bytes::<24>(&SystemEntropy))));
    serving.state().setup.open(&token);
    // To the terminal or the supervisor's journal, not through the log: it is for the person who starts the server.
    let text = format!(
        "\nThis installation is not set up. Open this link once, within this run of the server:\n\n  {base_url}/setup#{}\n\n\
         Or stop the server and run: keywright init\n",
        token.as_str()
    );
    let mut out = std::io::stderr().lock();
    if !out.is_terminal() {
        tracing::warn!("not set up: the one-time link follows on standard error");
    }
    writeln!(out, "{text}")
        .map_err(|error| Failure::new(Exit::Io, format!("cannot write the set-up link: {error}")))
}
