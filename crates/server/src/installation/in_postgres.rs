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
    AnnouncementKey, Announcements, ConnectError, PostgresControl, PostgresLimits, PostgresOptions,
    PostgresStore, Promise,
};
use tokio::time::timeout;

use super::{
    DataDirectory, EncryptionKeys, OpenOptions, Opened, agreement, explain_store,
    opened::{RIGHT_KEY, engine, flush_left_over, restore_limits},
    patience::{Patience, may_pass},
    peppers::Peppers,
};
use crate::{
    cluster::{DatabaseServer, InForce, Journal, Limits, Node, NodeClock, NodeParts, Runs},
    config::Database,
    failure::{Exit, Failure},
};

/// What the key is for that nodes authenticate announcements with.
const ANNOUNCEMENTS: &str = "announcements";
/// How often a node that loads is asked what it waits for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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
        let mut postgres = postgres_options(shared.database);
        postgres.announcement_key = Some(AnnouncementKey::new(vault.derive(ANNOUNCEMENTS)));
        let mut patience = Patience::new(shared.patience, progress);
        let store = Arc::new(connect(&postgres, &vault, &mut patience).await?);
        let registry = control(postgres.clone(), shared.database)?;
        declare_ended(&runs, &registry).await;
        let signer = agreement::compare(&peppers, directory, &registry, &mut patience).await?;
        let pool = PostgresLimits::new(postgres.clone()).map_err(|error| explain_connect(&error))?;
        let control: Arc<dyn ControlLog> = Arc::new(control(postgres, shared.database)?);
        let is_set_up = patience.ask(async || store.is_set_up().await).await?;
        if is_set_up {
            peppers.check(directory)?;
        }
        let clock = Arc::new(NodeClock::new());
        let engine = engine(directory, &options, &peppers, Arc::clone(&clock) as Arc<dyn Clock>)?;
        let engine = Arc::new(engine.with_shared_limits());
        engine.reserve(patience.ask(async || store.key_count().await).await?);
        let node = Node::start(NodeParts {
            name: shared.name,
            address: shared.address,
            control,
            store: Arc::clone(&store) as _,
            server: Arc::new(Server(Arc::clone(&store))),
            engine: Arc::clone(&engine),
            clock: Arc::clone(&clock),
            peppers: Arc::clone(&peppers),
            runs,
            journal: Journal::open(directory.ends()),
        })?;
        let longest_window_seconds = ready(&node, &mut patience).await?;
        if let Err(failure) = agreement::note(&peppers, &signer, directory, &registry, &mut patience).await {
            node.stop().await;
            return Err(failure);
        }
        flush_left_over(&*store, engine.spool()).await;
        patience
            .ask(async || restore_limits(&*store, &engine, &*clock, longest_window_seconds).await)
            .await?;
        let limits = Limits::start(&engine, Arc::new(pool), Arc::clone(&clock) as Arc<dyn Clock>)?;
        Ok(Self { store, engine, signer, is_set_up, clock, node: Some(Arc::new(node)), limits: Some(limits) })
    }
}

/// Returns when the keys are in memory; as [`Node::ready`]. The node tries for itself as long as the database cannot be
/// reached: here it is told, and waited for as long as patience lasts.
async fn ready(node: &Node, patience: &mut Patience<'_>) -> Result<u32, Failure> {
    loop {
        if let Ok(longest_window_seconds) = timeout(LOOK_EVERY, node.ready()).await {
            return longest_window_seconds;
        }
        match node.standing().trouble() {
            None => patience.works("loading the keys"),
            Some(text) => patience.fails(&text, || Failure::new(Exit::Unavailable, text.clone()))?,
        }
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

/// Connects; tries again for as long as patience lasts if that may help.
async fn connect(
    options: &PostgresOptions,
    vault: &SharedVault,
    patience: &mut Patience<'_>,
) -> Result<PostgresStore, Failure> {
    loop {
        let attempt = PostgresStore::connect(options.clone(), Arc::clone(vault));
        let attempt = timeout(patience.left().max(Duration::from_secs(1)), attempt).await;
        let error = match attempt {
            Ok(Ok(store)) => {
                patience.works("opening the database");
                return Ok(store);
            }
            Ok(Err(error)) => error,
            Err(_) => ConnectError::Unreachable("it does not answer".to_owned()),
        };
        if !connecting_may_pass(&error) {
            return Err(explain_connect(&error));
        }
        let text = error.to_string();
        patience.fails(&text, || explain_connect(&error))?;
        patience.rest().await;
    }
}

/// Whether another attempt may fare better without anybody changing the configuration.
const fn connecting_may_pass(error: &ConnectError) -> bool {
    match error {
        ConnectError::Unreachable(_) | ConnectError::Standby => true,
        ConnectError::Store(error) => may_pass(error),
        _ => false,
    }
}

/// Why the database cannot be used, with what to do. The messages of the driver do not quote the address.
pub(crate) fn explain_connect(error: &ConnectError) -> Failure {
    let exit = match error {
        ConnectError::Options(_)
        | ConnectError::Credentials(_)
        | ConnectError::NoDatabase(_)
        | ConnectError::Pooled(_) => Exit::Config,
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
