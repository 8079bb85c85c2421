//! Opening an installation: the database, its keys in memory, and the checks that they fit together.

use std::{path::Path, sync::Arc};

use keywright_domain::{
    audit::PersonalData,
    change::ChangeSink,
    command::Context,
    entropy::{Entropy as _, random_bytes},
    ids::AuditId,
    lease::LeaseTerm,
    permit::{self, Action, Actor},
    store::{Store, StoreError},
    time::Clock,
};
use keywright_engine::{Engine, EngineOptions, LeaseEnd, Moment, Spool, SpoolError, SpoolOptions};
use keywright_keyformat::IssuerTag;
use keywright_store_sqlite::{OpenError, Options, SqliteStore};

use super::{
    DataDirectory, EncryptionKeys,
    loading::{LoadProblem, load_into},
    peppers::Peppers,
    signing_key::CheckpointSigner,
};
use crate::{
    cluster::{Limits, Node},
    config::{Config, KeySource, PepperSource},
    failure::{Exit, Failure},
    system::{SystemClock, SystemEntropy},
};

/// How an installation is opened.
pub(crate) struct OpenOptions<'a> {
    /// Where peppers come from; empty for the data directory.
    pub(crate) peppers: &'a [PepperSource],
    /// Where key-encryption keys come from; empty for the data directory.
    pub(crate) encryption_keys: &'a [KeySource],
    /// The tag in its keys.
    pub(crate) issuer_tag: Option<IssuerTag>,
    /// Most bytes of the spool.
    pub(crate) spool_bytes: u64,
}

impl<'a> OpenOptions<'a> {
    /// As the configuration says.
    pub(crate) fn of(config: &'a Config) -> Self {
        Self {
            peppers: &config.peppers,
            encryption_keys: &config.encryption_keys,
            issuer_tag: config.issuer_tag.map(|tag| tag.0),
            spool_bytes: u64::from(config.usage.spool_bytes.get()),
        }
    }
}

/// An installation whose keys are in memory and answered.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) signer: CheckpointSigner,
    /// Whether an operator credential existed already.
    pub(crate) is_set_up: bool,
    /// The clock that expiry goes by.
    pub(crate) clock: Arc<dyn Clock>,
    /// This process among others, if the store is shared.
    pub(crate) node: Option<Arc<Node>>,
    /// What shares limits with the other nodes.
    pub(crate) limits: Option<Limits>,
}

impl Opened {
    /// Opens the installation in `directory` for this process alone.
    pub(crate) async fn open(directory: &DataDirectory, options: OpenOptions<'_>) -> Result<Self, Failure> {
        let keys = encryption_keys(directory, options.encryption_keys)?;
        let store = SqliteStore::open(directory.path(), &Options::default(), keys.into_vault());
        let store = Arc::new(store.map_err(explain_open)?);
        let failed = |error| explain_store(&error);
        let is_set_up = store.is_set_up().await.map_err(failed)?;
        let peppers = if is_set_up {
            Peppers::load(directory, options.peppers)?
        } else {
            Peppers::load_or_generate(directory, options.peppers, SystemClock.now(), &SystemEntropy)?
        };
        peppers.check(directory)?;
        let signer = CheckpointSigner::load_or_generate(directory, &SystemEntropy)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = Arc::new(engine(directory, &options, &peppers, Arc::clone(&clock))?);
        store.attach(Arc::clone(&engine) as Arc<dyn ChangeSink>);
        engine.reserve(store.key_count().await.map_err(failed)?);
        let loaded = load_into(&*store, &engine, &peppers).await.map_err(|problem| match problem {
            LoadProblem::Store(error) => explain_store(&error),
            LoadProblem::Unfit(failure) => failure,
        })?;
        flush_left_over(&*store, engine.spool()).await;
        restore_limits(&*store, &engine, &*clock, loaded.longest_window_seconds).await.map_err(failed)?;
        // A single node with an embedded store: what is committed is applied before the commit is answered.
        engine.set_leases([LeaseEnd::NEVER; LeaseTerm::ALL.len()]);
        Ok(Self { store, engine, signer, is_set_up, clock, node: None, limits: None })
    }
}

/// The key-encryption keys. Only where nothing was sealed yet, a first one is made.
fn encryption_keys(directory: &DataDirectory, sources: &[KeySource]) -> Result<EncryptionKeys, Failure> {
    if keywright_store_sqlite::has_sealed(directory.path()).map_err(explain_open)? {
        EncryptionKeys::load(directory, sources)
    } else {
        EncryptionKeys::load_or_generate(directory, sources, SystemClock.now(), &SystemEntropy)
    }
}

/// An engine that knows no key yet.
pub(super) fn engine(
    directory: &DataDirectory,
    options: &OpenOptions<'_>,
    peppers: &Peppers,
    clock: Arc<dyn Clock>,
) -> Result<Engine, Failure> {
    let spool = open_spool(&directory.spool(), options.spool_bytes)?;
    Ok(Engine::new(EngineOptions {
        peppers: peppers.to_set(),
        issuer_tag: options.issuer_tag,
        clock,
        spool: Arc::new(spool),
    }))
}

/// Writes what a killed process had counted to the database, so that limits take it into account. What cannot be written
/// stays in the spool: a database that cannot be written is no reason not to answer verifications.
pub(super) async fn flush_left_over(store: &dyn Store, spool: &Spool) {
    while let Some(sealed) = spool.oldest_sealed() {
        for batch in spool.batches(&sealed) {
            if let Err(error) = store.flush_usage(batch).await {
                tracing::error!(%error, "usage of an earlier run waits in the spool");
                return;
            }
        }
        if let Err(error) = spool.confirm(&sealed, 0) {
            tracing::error!(%error, "a flushed segment cannot be deleted");
            return;
        }
    }
}

/// Limit windows go on where they were.
pub(super) async fn restore_limits(
    store: &dyn Store,
    engine: &Engine,
    clock: &dyn Clock,
    longest_seconds: u32,
) -> Result<(), StoreError> {
    let now = Moment::read(clock);
    // A sliding window also weighs the one before it.
    let since = now.wall.unix_seconds() - 2 * i64::from(longest_seconds);
    let spent = store.recent_cost(since.div_euclid(60)).await?;
    for (key, minute, cost) in spent {
        engine.restore_cost(key, minute, cost, now);
    }
    Ok(())
}

fn open_spool(directory: &Path, bytes_max: u64) -> Result<Spool, Failure> {
    let mut options =
        SpoolOptions::new(random_bytes(&SystemEntropy), u64::from_be_bytes(random_bytes(&SystemEntropy)));
    options.bytes_max = bytes_max;
    options.machine_start = machine_start();
    let spool = Spool::open(directory, options).map_err(|error| explain_spool(&error))?;
    let damaged = spool.gauges().damaged_files;
    if damaged > 0 {
        tracing::error!(damaged, directory = %directory.display(), "files of the usage spool were damaged and set aside");
    }
    Ok(spool)
}

/// Stands for the start of this machine: another number each time. 0 where the kernel does not say.
fn machine_start() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

/// What the installation itself does: set-up and background jobs.
pub(crate) fn system_context() -> Context {
    let now = SystemClock.now();
    let permit =
        permit::authorize(Actor::System, Action::Operate, None).expect("the system may do everything");
    let mut salt = [0; 16];
    SystemEntropy.fill(&mut salt);
    Context {
        now,
        permit,
        audit_id: AuditId::generate(now, &SystemEntropy),
        request_id: None,
        personal: PersonalData { salt, address: None, user_agent: None },
        idempotency: None,
    }
}

fn explain_spool(error: &SpoolError) -> Failure {
    match error {
        SpoolError::InUse(_) => Failure::new(Exit::Busy, error.to_string())
            .remedy("stop the other process, or choose another data directory"),
        SpoolError::Io { source, .. } => Failure::new(exit_of(source), error.to_string())
            .remedy("check that the disk has room and that this user may write there"),
    }
}

/// What to do about key-encryption keys that do not fit.
pub(crate) const RIGHT_KEY: &str = "put the key-encryption key back that belongs to this data (from your copy of \
                                    encryption-keys.toml or your secret store); nothing was changed";

fn exit_of(error: &std::io::Error) -> Exit {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => Exit::CannotCreate,
        _ => Exit::Io,
    }
}

/// Why a data directory cannot be opened, with what to do.
pub(crate) fn explain_open(error: OpenError) -> Failure {
    let text = error.to_string();
    let (exit, remedy) = match error {
        OpenError::Store(error) => return explain_store(&error),
        OpenError::Locked { .. } => (Exit::Busy, None),
        OpenError::Directory { error, .. } => (exit_of(&error), None),
        OpenError::Damaged(_) | OpenError::MigrationChanged(_) => (
            Exit::Data,
            Some("nothing was changed; keep the damaged files until the restored installation is checked"),
        ),
        OpenError::Newer { .. } | OpenError::Older { .. } | OpenError::NotKeywright { .. } => {
            (Exit::Data, Some("nothing was changed"))
        }
        OpenError::Vault(_) => (Exit::Data, Some(RIGHT_KEY)),
        OpenError::UnfinishedTransfer | OpenError::MovedAway { .. } | OpenError::Unsealed => {
            (Exit::Data, None)
        }
    };
    let failure = Failure::new(exit, text);
    match remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

/// A failure of the database, with what to do.
pub(crate) fn explain_store(error: &StoreError) -> Failure {
    let (exit, remedy) = match error {
        StoreError::Unavailable(_) => (Exit::Unavailable, "try again"),
        StoreError::Full(_) => (Exit::Io, "free some space on this file system; nothing was lost"),
        StoreError::ReadOnly(_) => (
            Exit::CannotCreate,
            "make the data directory and its files writable for this user; nothing was changed",
        ),
        StoreError::Damaged(_) => {
            (Exit::Data, "restore the latest backup with `keywright restore`; nothing was changed")
        }
        StoreError::CommitUnknown(_) => (Exit::Io, "look at what is there before you try again"),
        StoreError::Internal(_) => (Exit::Software, "please report it"),
    };
    Failure::new(exit, error.to_string()).remedy(remedy)
}
