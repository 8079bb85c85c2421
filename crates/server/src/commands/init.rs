//! `keywright init`: what `serve` needs, made on the terminal.

use std::{io::Write as _, path::PathBuf, time::Duration};

use clap::Args;
use keywright_domain::{plan::Plan, workspace::Slug};

use crate::{
    commands::serve,
    config::Config,
    failure::{Exit, Failure},
    installation::{DataDirectory, FirstWorkspace, bootstrap},
    serving::block_on,
};

/// How long a shared database may be out of reach.
const PATIENCE: Duration = Duration::from_secs(15);

/// Prepare a data directory and print the first operator credential.
#[derive(Debug, Args)]
#[command(after_help = "\
Makes the data directory (mode 0700) with the database, the pepper and the audit signing key (mode 0600), and prints the
first operator credential on standard output: once, and never again.

Examples:
  keywright init --data /var/lib/keywright > operator.key
  keywright init --config keywright.toml --workspace acme --owner-email owner@acme.example
  KEYWRIGHT_DATABASE_URL=postgres://keywright@db/keywright keywright init --config keywright.toml")]
pub(crate) struct Init {
    /// The data directory
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// The configuration of `serve`, which names the data directory, the peppers and the issuer tag
    #[arg(long, value_name = "FILE", env = "KEYWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// A PostgreSQL database that several nodes share, instead of `database.url` in the configuration. A password in it
    /// can be seen by other users of this machine: rather set `KEYWRIGHT_DATABASE_URL`
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Create a first workspace with this name in addresses
    #[arg(long, value_name = "SLUG", requires = "owner_email")]
    workspace: Option<String>,
    /// E-mail address of the first workspace's owner
    #[arg(long, value_name = "ADDRESS", requires = "workspace")]
    owner_email: Option<String>,
}

impl Init {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut config = match (&self.config, &self.data) {
            (Some(path), None) => Config::load(path)?,
            _ => Config::from_environment()?,
        };
        if let Some(data) = &self.data {
            config.data_dir.clone_from(data);
        }
        let first = self.first_workspace()?;
        serve::set_database(&mut config, self.database)?;
        block_on(init(&config, first))
    }

    fn first_workspace(&self) -> Result<Option<FirstWorkspace>, Failure> {
        let (Some(slug), Some(email)) = (&self.workspace, &self.owner_email) else { return Ok(None) };
        let slug =
            Slug::parse(slug).map_err(|error| Failure::new(Exit::Usage, format!("--workspace: {error}")))?;
        let is_address =
            email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
        if !is_address || !keywright_domain::key::is_printable(email, 3, 254) {
            return Err(Failure::new(Exit::Usage, "--owner-email is not an e-mail address"));
        }
        Ok(Some(FirstWorkspace {
            slug,
            plan: Plan::DEFAULT,
            owner_email: email.clone(),
            password_hash: None,
        }))
    }
}

async fn init(config: &Config, first: Option<FirstWorkspace>) -> Result<(), Failure> {
    let directory = DataDirectory::create(&config.data_dir)?;
    let opened = serve::open(config, &directory, PATIENCE, &|_| {}).await?;
    let tag = config.issuer_tag.map(|tag| tag.0);
    let made = bootstrap(&opened, tag.as_ref(), first).await?;
    let is_told = match &opened.node {
        Some(node) => node.stop().await,
        None => true,
    };
    opened.store.close().await.map_err(|error| crate::installation::explain_store(&error))?;
    let written = || -> std::io::Result<()> {
        let path = directory.path().display();
        let mut err = std::io::stderr().lock();
        writeln!(err, "Prepared {path}.")?;
        if let Some((workspace, _)) = &made.workspace {
            writeln!(err, "Workspace: {} ({})", workspace.slug.as_str(), workspace.id)?;
        }
        if config.peppers.is_empty() {
            writeln!(err, "Keep a copy of {} apart from the database.", directory.peppers().display())?;
        }
        if !is_told {
            writeln!(
                err,
                "The database could not be told that this command has ended. The first node with this data directory tells it; \
                 until then, a revocation waits for its leases."
            )?;
        }
        writeln!(err, "Note the public key that checks the audit trail: {}", opened.signer.public_key_hex())?;
        writeln!(err, "The operator credential follows. It is shown once:")?;
        writeln!(std::io::stdout().lock(), "{}", made.operator.expose())
    };
    written().map_err(|error| Failure::new(Exit::Io, format!("cannot write to the terminal: {error}")))
}
