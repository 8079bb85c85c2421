//! `keywright cluster`: the nodes of an installation, from outside of all of them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use keywright_domain::control::{ControlLog as _, NodeRow};
use keywright_store_postgres::{Overview, PostgresControl};
use serde_json::json;
use tokio::time::sleep;

use super::{print, serve::set_database};
use crate::{
    cluster::Runs,
    config::Config,
    failure::{Exit, Failure},
    installation::{
        CheckpointSigner, DataDirectory, InForce, SIGNING_KEY, control, explain_connect, explain_store,
        in_force, postgres_options,
    },
    serving::block_on,
    system::SystemEntropy,
};

/// Nodes poll every 2 seconds: who has not in this time is silent.
const SILENT_AFTER: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The nodes that share a PostgreSQL database.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the nodes, how far they are, and what is promised. Takes up to three seconds: who renews is seen by watching
    #[command(after_help = "\
Examples:
  keywright cluster status --config /etc/keywright.toml
  KEYWRIGHT_DATABASE_URL=postgres://keywright@db/keywright keywright cluster status --json")]
    Status {
        /// Which database
        #[command(flatten)]
        at: At,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a node that has ended for certain, so that no revocation waits for it
    ///
    /// A node that is merely cut off may still accept keys from memory until its lease ends. Only whoever knows that the
    /// process has ended may say so: the machine is off, or the process was seen to end. A closed connection is no proof.
    #[command(after_help = "\
Examples:
  keywright cluster forget node-3 --confirmed-dead --config /etc/keywright.toml")]
    Forget {
        /// The node's name, or its incarnation where several have the name
        node: String,
        /// The process has ended for certain
        #[arg(long)]
        confirmed_dead: bool,
        /// Which database
        #[command(flatten)]
        at: At,
    },
    /// Say that the last process with this data directory has ended; for `ExecStopPost=` of systemd
    ///
    /// Refused while a process uses the directory. Does nothing where the end cannot be proved: in a copy of the
    /// directory, or after the machine was restarted.
    #[command(after_help = "\
Examples:
  keywright cluster declare-dead --config /etc/keywright.toml
  keywright cluster declare-dead --data /var/lib/keywright --config /etc/keywright.toml")]
    DeclareDead {
        /// The data directory, if it is not the one in the configuration
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Which database
        #[command(flatten)]
        at: At,
    },
    /// Make the audit signing key of this data directory the installation's
    ///
    /// For when no node has the key any more that checkpoints were signed with, or when it must be replaced. Makes a key if the
    /// directory has none. Checkpoints that were signed before still verify, under the key that they name. Other nodes do
    /// not start again before they have a copy.
    #[command(after_help = "\
Examples:
  keywright cluster adopt-signing-key --config /etc/keywright.toml
  keywright cluster adopt-signing-key --data /var/lib/keywright --config /etc/keywright.toml")]
    AdoptSigningKey {
        /// The data directory, if it is not the one in the configuration
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Which database
        #[command(flatten)]
        at: At,
    },
}

/// Which database.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// The configuration of `serve`; without it, the defaults and the environment
    #[arg(long, value_name = "FILE", env = "KEYWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// The database, instead of `database.url` in the configuration
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

impl At {
    fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::of(self.config.as_deref())?;
        set_database(&mut config, self.database.clone())?;
        Ok(config)
    }
}

impl ClusterCommand {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Status { at, json } => {
                let config = at.config()?;
                block_on(status(&config, json))
            }
            Self::Forget { node, confirmed_dead, at } => {
                if !confirmed_dead {
                    return Err(Failure::new(
                        Exit::Arguments,
                        "a node that still runs would accept revoked keys without anybody waiting for it",
                    )
                    .remedy("make sure that the process has ended, then say so: --confirmed-dead"));
                }
                let config = at.config()?;
                block_on(forget(&config, &node))
            }
            Self::DeclareDead { data, at } => {
                let mut config = at.config()?;
                if let Some(data) = data {
                    config.data_dir = data;
                }
                block_on(declare_dead(&config))
            }
            Self::AdoptSigningKey { data, at } => {
                let mut config = at.config()?;
                if let Some(data) = data {
                    config.data_dir = data;
                }
                block_on(adopt_signing_key(&config))
            }
        }
    }
}

fn connect(config: &Config) -> Result<PostgresControl, Failure> {
    let Some(database) = &config.database else {
        return Err(Failure::new(Exit::Usage, "no database is named, so there are no other nodes")
            .remedy("name the configuration with --config FILE, or set KEYWRIGHT_DATABASE_URL"));
    };
    control(postgres_options(database), database)
}

/// A node as it was seen.
struct Seen {
    row: NodeRow,
    has_renewed: bool,
}

impl Seen {
    const fn state(&self) -> &'static str {
        match (self.row.is_fenced, self.has_renewed) {
            (true, _) => "fenced",
            (false, true) => "renewing",
            (false, false) => "silent",
        }
    }
}

/// The registry, watched until every node has renewed or might have.
async fn watch(control: &PostgresControl) -> Result<Vec<Seen>, Failure> {
    let rows = || async { control.nodes().await.map_err(|error| explain_store(&error)) };
    let first = rows().await?;
    let mut waited = Duration::ZERO;
    loop {
        let now = rows().await?;
        let has_renewed = |row: &NodeRow| {
            let before = first.iter().find(|before| before.incarnation == row.incarnation);
            before.is_none_or(|before| before.renewals != row.renewals)
        };
        let mut seen: Vec<_> =
            now.into_iter().map(|row| Seen { has_renewed: has_renewed(&row), row }).collect();
        if waited >= SILENT_AFTER || seen.iter().all(|node| node.has_renewed || node.row.is_fenced) {
            seen.sort_by(|left, right| left.row.cmp(&right.row));
            return Ok(seen);
        }
        sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}

async fn status(config: &Config, as_json: bool) -> Result<(), Failure> {
    let control = connect(config)?;
    let seen = watch(&control).await?;
    let overview = control.overview().await.map_err(|error| explain_store(&error))?;
    let database = config.database.as_ref().expect("it is connected to");
    let durability = PostgresControl::durability(postgres_options(database)).await;
    let promise = in_force(&durability.map_err(|error| explain_connect(&error))?.promise());
    if as_json {
        return print(&format!("{}\n", to_json(&overview, &seen, &promise)));
    }
    print(&to_text(&overview, &seen, &promise))
}

fn lag(overview: &Overview, row: &NodeRow) -> u64 {
    overview.head.saturating_sub(row.applied)
}

fn to_json(overview: &Overview, seen: &[Seen], promise: &InForce) -> serde_json::Value {
    let nodes: Vec<_> = seen
        .iter()
        .map(|node| {
            json!({
                "name": node.row.name, "incarnation": node.row.incarnation.to_string(), "state": node.state(),
                "applied": node.row.applied, "lag": lag(overview, &node.row), "renewals": node.row.renewals,
                "generation": node.row.reasserted, "address": node.row.address, "version": node.row.version,
            })
        })
        .collect();
    json!({
        "head": overview.head, "stable": overview.stable, "generation": overview.generation,
        "is_generation_begun": overview.generation_epoch == overview.epoch,
        "promise": {"in_force": promise.0, "reason": promise.1}, "nodes": nodes,
    })
}

fn to_text(overview: &Overview, seen: &[Seen], promise: &InForce) -> String {
    let Overview { head, stable, generation, .. } = overview;
    let mut lines = vec![
        format!("Change log   {head}, on all nodes {stable}"),
        format!("Generation   {generation}"),
        format!("Promise      {}", promise.0.replace('_', " ")),
    ];
    lines.extend(promise.1.as_ref().map(|reason| format!("             {reason}")));
    lines.push(String::new());
    if seen.is_empty() {
        lines.push("No node is registered.".to_owned());
    } else {
        lines.push(format!(
            "{:20} {:9} {:>12} {:>8} {:10} {:32} {}",
            "NODE", "STATE", "APPLIED", "LAG", "VERSION", "INCARNATION", "ADDRESS"
        ));
    }
    lines.extend(seen.iter().map(|node| {
        let row = &node.row;
        let (state, lag) = (node.state(), lag(overview, row));
        format!(
            "{:20} {state:9} {:>12} {lag:>8} {:10} {} {}",
            row.name, row.applied, row.version, row.incarnation, row.address
        )
    }));
    if seen.iter().any(|node| node.state() == "silent") {
        lines.push(String::new());
        lines.push(
            "A silent node has ended, or is cut off. Revocations wait for its lease to end, once.".to_owned(),
        );
        lines.push("If it has ended for certain: keywright cluster forget NODE --confirmed-dead".to_owned());
    }
    lines.join("\n") + "\n"
}

async fn forget(config: &Config, node: &str) -> Result<(), Failure> {
    let control = connect(config)?;
    let seen = watch(&control).await?;
    let meant: Vec<_> = seen
        .iter()
        .filter(|seen| seen.row.name == node || seen.row.incarnation.to_string() == node)
        .collect();
    let [only] = meant[..] else {
        let failure = Failure::new(
            Exit::Negative,
            match meant.len() {
                0 => format!("no node {node} is registered"),
                count => format!("{count} nodes are called {node}"),
            },
        );
        let remedy = if meant.is_empty() { "" } else { "name its incarnation: " };
        return Err(failure.remedy(format!("{remedy}keywright cluster status shows them all")));
    };
    if only.has_renewed {
        return Err(Failure::new(Exit::Refused, format!("{node} runs: it renewed its lease just now"))
            .remedy("stop it; a node that ends in order removes itself"));
    }
    control.forget(only.row.incarnation).await.map_err(|error| explain_store(&error))?;
    print(&format!("Removed {} ({}).\n", only.row.name, only.row.incarnation))
}

async fn declare_dead(config: &Config) -> Result<(), Failure> {
    let directory = DataDirectory::open(&config.data_dir)?;
    // Holding the lock is the proof.
    let runs = Runs::lock(directory.path())?;
    let ended = runs.ended();
    if ended.is_empty() {
        return print(
            "Nothing to declare: no run of this directory is known that has ended without saying so.\n",
        );
    }
    let control = connect(config)?;
    for run in &ended {
        control.forget(*run).await.map_err(|error| explain_store(&error))?;
    }
    runs.forget(&ended)?;
    print(&format!("Declared {} ended: no revocation waits for it.\n", ended[0]))
}

async fn adopt_signing_key(config: &Config) -> Result<(), Failure> {
    let control = connect(config)?;
    let directory = DataDirectory::create(&config.data_dir)?;
    let public_key = CheckpointSigner::load_or_generate(&directory, &SystemEntropy)?.public_key_hex();
    let adopted = control.replace_secret_check(SIGNING_KEY, &public_key).await;
    adopted.map_err(|error| explain_store(&error))?;
    let path = directory.signing_key();
    print(&format!(
        "Checkpoints are signed by {public_key} from now on.\nCopy {} to the other nodes before they start again.\n",
        path.display()
    ))
}
