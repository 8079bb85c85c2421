//! `keywright serve`: production.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::Args;
use keywright_domain::entropy::random_bytes;
use zeroize::Zeroizing;

use crate::{
    config::Config,
    failure::Failure,
    installation::{DataDirectory, OpenOptions, Opened},
    ops,
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
  KEYWRIGHT_DATA_DIR=/var/lib/keywright KEYWRIGHT_LISTEN=0.0.0.0:8080 keywright serve")]
pub(crate) struct Serve {
    /// The configuration; without it, the defaults and the environment
    #[arg(long, value_name = "FILE", env = "KEYWRIGHT_CONFIG")]
    config: Option<PathBuf>,
}

impl Serve {
    /// Serves until a signal ends it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::from_environment()?,
        };
        ops::log::start(&config.log)?;
        block_on(serve(&config))
    }
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let listeners = Listeners::bind(config, OPTIONS)?;
    let directory = DataDirectory::create(&config.data_dir)?;
    let opened = Opened::open(&directory, OpenOptions::of(config)).await?;
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
    writeln!(out, "{text}").map_err(|error| {
        Failure::new(crate::failure::Exit::Io, format!("cannot write the set-up link: {error}"))
    })
}
