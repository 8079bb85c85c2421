//! Opening an installation whose database is shared with other nodes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use keywright_domain::{
    control::ControlLog,
    store::{Store as _, StoreError},
    time::Clock,
    vault::SharedVault,
};
use keywright_store_postgres::{
    Announcements, ConnectError, PostgresControl, PostgresLimits, PostgresOptions, PostgresStore, Promise,
};
use tokio::time::{sleep, timeout};

use super::{
    DataDirectory, EncryptionKeys, OpenOptions, Opened, explain_store,
    opened::{RIGHT_KEY, engine, flush_left_over, restore_limits},
    peppers::Peppers,
    signing_key::CheckpointSigner,
};
use crate::{
    cluster::{DatabaseServer, InForce, Journal, Limits, Node, NodeClock, NodeParts, Runs},
    config::Database,
    failure::{Exit, Failure},
    system::SystemClock,
};

const REST_FIRST: Duration = Duration::from_millis(250);
const REST_LAST: Duration = Duration::from_secs(5);

/// How a shared installation is opened.
pub(crate) struct SharedOptions<'a> {
    /// Where the database is.
    pub(crate) database: &'a Database,
    /// What people know this node by.
    pub(crate) name: String,
    /// Where other nodes reach its public port; may be empty.
    pub(crate) address: String,
    /// How long the database may be out of reach at the start.
    pub(crate) patience: Duration,
}

/// What the start is about, for whoever asks in the meantime.
pub(crate) type Progress<'a> = &'a (dyn Fn(&str) + Sync);

impl Opened {
    /// Opens the installation whose database is shared, and follows its changes from then on. Tries for a while if the
    /// database cannot be reached.
    pub(crate) async fn open_shared(
        directory: &DataDirectory,
        options: OpenOptions<'_>,
        shared: SharedOptions<'_>,
        progress: Progress<'_>,
    ) -> Result<Self, Failure> {
        let runs = Runs::lock(directory.path())?;
        let peppers = Arc::new(Peppers::load_shared(directory, options.peppers)?);
        let vault = EncryptionKeys::load_shared(directory, options.encryption_keys)?.into_vault();
        let signer = CheckpointSigner::load_or_generate(directory, &crate::system::SystemEntropy)?;
        let postgres = postgres_options(shared.database);
        let store = Arc::new(connect(&postgres, &vault, shared.patience, progress).await?);
        declare_ended(&runs, &control(postgres.clone(), shared.database)?).await;
        let pool = PostgresLimits::new(postgres.clone()).map_err(|error| explain_connect(&error))?;
        let control: Arc<dyn ControlLog> = Arc::new(control(postgres, shared.database)?);
        let is_set_up = store.is_set_up().await.map_err(|error| explain_store(&error))?;
        if is_set_up {
            peppers.check(directory)?;
        }
        let clock = Arc::new(NodeClock::new());
        let engine = engine(directory, &options, &peppers, Arc::clone(&clock) as Arc<dyn Clock>)?;
        let engine = Arc::new(engine.with_shared_limits());
        engine.reserve(store.key_count().await.map_err(|error| explain_store(&error))?);
        progress("loading the keys");
        let node = Node::start(NodeParts {
            name: shared.name,
            address: shared.address,
            control,
            store: Arc::clone(&store) as _,
            server: Arc::new(Server(Arc::clone(&store))),
            engine: Arc::clone(&engine),
            clock: Arc::clone(&clock),
            peppers,
            runs,
            journal: Journal::open(directory.ends()),
        })?;
        let longest_window_seconds = node.ready().await?;
        flush_left_over(&*store, engine.spool()).await;
        restore_limits(&*store, &engine, &*clock, longest_window_seconds).await?;
        let limits = Limits::start(&engine, Arc::new(pool), Arc::clone(&clock) as Arc<dyn Clock>)?;
        Ok(Self { store, engine, signer, is_set_up, clock, node: Some(Arc::new(node)), limits: Some(limits) })
    }
}

/// Tells the others that the runs before this one have ended: the lock of the data directory proves it. If that cannot
/// be told, revocations wait for their leases once.
async fn declare_ended(runs: &Runs, control: &PostgresControl) {
    let ended = runs.ended();
    for run in &ended {
        match control.forget(*run).await {
            Ok(true) => tracing::info!(%run, "the run before has ended; no revocation waits for it"),
            Ok(false) => {}
            Err(error) => {
                return tracing::warn!(%run, %error, "that the run before has ended could not be told");
            }
        }
    }
    if let Err(failure) = runs.forget(&ended) {
        tracing::warn!(%failure, "the ends of runs are not noted");
    }
}

/// The database's settings for its driver.
pub(crate) fn postgres_options(database: &Database) -> PostgresOptions {
    let url = database.url.as_ref().expect("the configuration was checked");
    let mut options = PostgresOptions::new(url.expose());
    options.tls_root_certificates.clone_from(&database.root_certificate);
    options.schema.clone_from(&database.schema);
    options
}

/// The control log of the database.
pub(crate) fn control(options: PostgresOptions, database: &Database) -> Result<PostgresControl, Failure> {
    let announcements = if database.listen { Announcements::Listen } else { Announcements::Glance };
    PostgresControl::new(options, announcements).map_err(|error| explain_connect(&error))
}

/// Connects; tries again for as long as `patience` says if that may help.
async fn connect(
    options: &PostgresOptions,
    vault: &SharedVault,
    patience: Duration,
    progress: Progress<'_>,
) -> Result<PostgresStore, Failure> {
    let until_ns = SystemClock.boot_ns() + u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX / 2);
    let mut rest = REST_FIRST;
    loop {
        let left = Duration::from_nanos(until_ns.saturating_sub(SystemClock.boot_ns()));
        let attempt = PostgresStore::connect(options.clone(), Arc::clone(vault));
        let attempt = timeout(left.max(Duration::from_secs(1)), attempt).await;
        let error = match attempt {
            Ok(Ok(store)) => return Ok(store),
            Ok(Err(error)) => error,
            Err(_) => ConnectError::Unreachable("it does not answer".to_owned()),
        };
        if !may_pass(&error) {
            return Err(explain_connect(&error));
        }
        if SystemClock.boot_ns() + u64::try_from(rest.as_nanos()).unwrap_or(0) >= until_ns {
            return Err(explain_connect(&error)
                .remedy("start the database, or allow more time with --start-timeout SECONDS"));
        }
        let text = error.to_string();
        progress(&text);
        tracing::warn!(error = text, "waiting for the database");
        sleep(rest).await;
        rest = (rest * 2).min(REST_LAST);
    }
}

/// Whether another attempt may fare better without anybody changing the configuration.
fn may_pass(error: &ConnectError) -> bool {
    match error {
        ConnectError::Unreachable(_) | ConnectError::Standby => true,
        ConnectError::Store(error) => matches!(error, StoreError::Unavailable(_) | StoreError::ReadOnly(_)),
        _ => false,
    }
}

/// Why the database cannot be used, with what to do. The messages of the driver do not quote the address.
pub(crate) fn explain_connect(error: &ConnectError) -> Failure {
    let exit = match error {
        ConnectError::Options(_) | ConnectError::Credentials(_) | ConnectError::NoDatabase(_) => Exit::Config,
        ConnectError::Unreachable(_) | ConnectError::Standby => Exit::Unavailable,
        ConnectError::Store(error) => return explain_store(error),
        ConnectError::Vault(_) => return Failure::new(Exit::Data, error.to_string()).remedy(RIGHT_KEY),
        _ => Exit::Data,
    };
    Failure::new(exit, error.to_string())
}

struct Server(Arc<PostgresStore>);

#[async_trait]
impl DatabaseServer for Server {
    async fn promise(&self) -> Result<InForce, StoreError> {
        Ok(in_force(&self.0.durability().await?.promise()))
    }
}

/// The promise as a word, and why it is no better.
pub(crate) fn in_force(promise: &Promise) -> InForce {
    match promise {
        Promise::Strict => ("strict", None),
        Promise::BestEffortAcrossFailover => {
            let reason =
                "a standby follows that commits do not wait for: promoted, it may lack the newest changes";
            ("best_effort_across_failover", Some(reason.to_owned()))
        }
        Promise::None { reason } => ("none", Some(reason.clone())),
        _ => ("unknown", None),
    }
}
