//! One connection: how it is made, what is checked of the server, and the statements that are prepared on it.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{TryStreamExt as _, future::try_join_all};
use keywright_domain::{control::Announcement, store::StoreError, vault::VaultError};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, Row, Socket, Statement,
    config::SslMode,
    error::{Severity, SqlState},
    types::ToSql,
};

use crate::{
    announcement::{self, Announcer},
    durability::{self, Settings},
    fault::{self, Fault},
    options::{PostgresOptions, is_schema_name},
    tls::Tls,
};

/// A parameter of a statement.
pub(crate) type Param = Box<dyn ToSql + Sync + Send>;

/// Why a store cannot be connected to. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The options contradict themselves.
    #[error("the PostgreSQL configuration is wrong: {0}")]
    Options(String),
    /// Nobody answers.
    #[error(
        "PostgreSQL cannot be reached: {0}; check that it runs, and the host and port in the database's address"
    )]
    Unreachable(String),
    /// The server does not know the user or the password.
    #[error("PostgreSQL refuses the user or the password: {0}; check the database's address and pg_hba.conf")]
    Credentials(String),
    /// The server has no such database.
    #[error("{0}; create it, or name another in the database's address")]
    NoDatabase(String),
    /// Something hands the server's sessions around, from one transaction to the next.
    #[error(
        "the database's address leads to a pool that hands sessions around ({0}), such as pgbouncer in transaction mode: connect \
         past it, or set pool_mode = session"
    )]
    Pooled(String),
    /// The server is too old.
    #[error("the server is PostgreSQL {found}; Keywright needs {} or newer", durability::OLDEST_VERSION)]
    TooOld {
        /// Its major version.
        found: i64,
    },
    /// The server is a standby.
    #[error("the server is a standby and cannot be written: name the primary in the database's address")]
    Standby,
    /// The server may lose what it acknowledged.
    #[error(
        "the server has {0} = off and would lose acknowledged changes in a crash: switch it on in postgresql.conf"
    )]
    Unflushed(&'static str),
    /// A newer Keywright migrated the schema.
    #[error(
        "the schema has version {found}, this program knows {known}: run the newer program that migrated it"
    )]
    Newer {
        /// The schema's version.
        found: usize,
        /// The newest version known.
        known: usize,
    },
    /// An older Keywright migrated the schema, and here it is not brought up to date.
    #[error(
        "the schema has version {found}, this program knows {known}: serve it once with this program, then stop it"
    )]
    Older {
        /// The schema's version.
        found: usize,
        /// The newest version known.
        known: usize,
    },
    /// There is no such schema.
    #[error("there is no schema {0} in the database: check the database's address and the schema's name")]
    Missing(String),
    /// A transfer into the schema is not finished.
    #[error(
        "a transfer into this database is not finished: run the same `keywright migrate` again, which goes on where it was"
    )]
    UnfinishedTransfer,
    /// The installation is elsewhere now.
    #[error(
        "this installation was moved: the table moved_away says where to; what is here is as it was then"
    )]
    MovedAway,
    /// Another program's tables are in the schema.
    #[error("the schema {0} holds tables of another program: choose another schema")]
    NotKeywright(String),
    /// A migration that was applied is not the one this program knows.
    #[error(
        "the migration {0} of this database differs from the one in this program: run the program that made it"
    )]
    MigrationChanged(String),
    /// The key-encryption keys do not fit.
    #[error("{0}")]
    Vault(VaultError),
    /// Personal data lies in the clear.
    #[error(
        "personal data in this database is not sealed yet: serve it once with this program, then stop it"
    )]
    Unsealed,
    /// Anything else.
    #[error(transparent)]
    Store(StoreError),
}

impl From<Fault> for ConnectError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => from_driver(&error),
            Fault::Silent => Self::Unreachable("it does not answer".to_owned()),
            Fault::Vault(error) => Self::Vault(error),
            other => Self::Store(other.into_store_error()),
        }
    }
}

impl From<tokio_postgres::Error> for ConnectError {
    fn from(error: tokio_postgres::Error) -> Self {
        from_driver(&error)
    }
}

fn from_driver(error: &tokio_postgres::Error) -> ConnectError {
    let text = fault::describe(error);
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            ConnectError::Credentials(text)
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => ConnectError::NoDatabase(text),
        Some(code) if fault::is_of_a_pool(code) => ConnectError::Pooled(text),
        Some(_) => match fault::store_error(error) {
            StoreError::Unavailable(text) => ConnectError::Unreachable(text),
            other => ConnectError::Store(other),
        },
        None => ConnectError::Unreachable(text),
    }
}

/// Everything that is needed to connect, checked once.
pub(crate) struct Plan {
    config: Config,
    tls: Option<Tls>,
    session: String,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) options: PostgresOptions,
}

impl Plan {
    /// Checks the options.
    pub(crate) fn new(options: PostgresOptions) -> Result<Self, ConnectError> {
        if !is_schema_name(&options.schema) {
            let text =
                "the schema's name has 1 to 48 lower-case letters, digits or _, and begins with a letter";
            return Err(ConnectError::Options(text.to_owned()));
        }
        // The driver's message may quote the address.
        let wrong = || ConnectError::Options("the database's address cannot be read".to_owned());
        let mut config: Config = options.url.expose().parse().map_err(|_| wrong())?;
        let tls = options.tls_root_certificates.as_deref().map(Tls::with_roots).transpose();
        let tls = tls.map_err(ConnectError::Options)?;
        match (&tls, config.get_ssl_mode()) {
            (Some(_), _) => config.ssl_mode(SslMode::Require),
            (None, SslMode::Disable | SslMode::Prefer) => config.ssl_mode(SslMode::Disable),
            (None, _) => {
                let text = "sslmode asks for encryption: name the file with the root certificates, too";
                return Err(ConnectError::Options(text.to_owned()));
            }
        };
        config
            .application_name(&options.application_name)
            .connect_timeout(options.connect_timeout)
            .keepalives(true)
            .keepalives_idle(options.tcp_keepalive)
            .keepalives_interval(options.tcp_keepalive / 3)
            .keepalives_retries(3)
            .tcp_user_timeout(options.tcp_user_timeout);
        let announcer = Arc::new(Announcer::new(&options.schema, options.announcement_key.clone()));
        Ok(Self { config, tls, session: session(&options), announcer, options })
    }
}

/// How the server plans. Every statement is written for one index, and a test holds it to that: so it is planned once,
/// for any parameters, and never reads a whole table because the planner takes a limit that it does not know for large.
pub(crate) const PLANNER: &str = "SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off; \
                                  SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET jit TO off";

/// What every session begins with.
fn session(options: &PostgresOptions) -> String {
    let PostgresOptions { schema, statement_timeout, lock_timeout, idle_in_transaction_timeout, .. } =
        options;
    format!(
        "SET search_path TO {schema}; SET synchronous_commit TO on; SET client_min_messages TO warning; \
         SET default_transaction_isolation TO 'read committed'; {PLANNER}; \
         SET statement_timeout TO {}; SET lock_timeout TO {}; SET idle_in_transaction_session_timeout TO {}",
        statement_timeout.as_millis(),
        lock_timeout.as_millis(),
        idle_in_transaction_timeout.as_millis(),
    )
}

/// A connection that was checked.
pub(crate) struct Connected {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
    warnings: Arc<Warnings>,
    driver: AbortHandle,
    /// What was announced last on a channel that the session listens to.
    pub(crate) announced: watch::Receiver<Announcement>,
    /// What the server said of itself.
    pub(crate) settings: Settings,
}

/// Warnings that came beside the answers.
#[derive(Default)]
struct Warnings {
    count: AtomicU64,
    last: Mutex<String>,
}

/// Connects and checks the server. The second part ends, with the reason, when the connection does.
pub(crate) async fn connect(plan: &Plan) -> Result<(Connected, JoinHandle<String>), ConnectError> {
    let warnings = Arc::<Warnings>::default();
    let (announce, announced) = watch::channel(Announcement::default());
    let texts = Arc::clone(&plan.announcer);
    let connecting = async {
        Ok::<_, tokio_postgres::Error>(if let Some(tls) = &plan.tls {
            let (client, connection) = plan.config.connect(tls.clone()).await?;
            (client, tokio::spawn(drive(connection, Arc::clone(&warnings), texts, announce)))
        } else {
            let (client, connection) = plan.config.connect(NoTls).await?;
            (client, tokio::spawn(drive(connection, Arc::clone(&warnings), texts, announce)))
        })
    };
    // The driver's own limit is one of the socket; a server that accepts and says nothing is as bad.
    let (client, driver) =
        timeout(plan.options.connect_timeout, connecting).await.map_err(|_| Fault::Silent)??;
    let ready = async {
        client.batch_execute(&plan.session).await?;
        Settings::read(&client).await
    };
    let ready = timeout(plan.options.answer_timeout, ready).await;
    let settings = match ready.map_err(|_| Fault::Silent).and_then(|ready| ready) {
        Ok(settings) => settings,
        Err(fault) => {
            driver.abort();
            return Err(fault.into());
        }
    };
    settings.check(plan.options.unflushed)?;
    let handle = driver.abort_handle();
    let statements = Mutex::default();
    Ok((Connected { client, statements, warnings, driver: handle, announced, settings }, driver))
}

/// Moves the bytes of a connection until it ends; says why.
async fn drive<T>(
    mut connection: Connection<Socket, T>,
    warnings: Arc<Warnings>,
    texts: Arc<Announcer>,
    announce: watch::Sender<Announcement>,
) -> String
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                if matches!(notice.parsed_severity(), Some(Severity::Warning) | None) {
                    notice.message().clone_into(&mut warnings.last.lock());
                    warnings.count.fetch_add(1, Ordering::Release);
                }
            }
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if let Some(next) = texts.read(notification.payload()) {
                    announce.send_modify(|heard| announcement::hear(heard, next));
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return fault::describe(&error),
            None => return "the connection was closed".to_owned(),
        }
    }
}

impl Connected {
    /// Prepares statements ahead, so that each is sent at once when it is used.
    pub(crate) async fn warm(&self, statements: &[&'static str]) -> Result<(), Fault> {
        try_join_all(statements.iter().map(|sql| self.statement(sql))).await?;
        Ok(())
    }

    async fn statement(&self, sql: &'static str) -> Result<Statement, Fault> {
        if let Some(known) = self.statements.lock().get(sql) {
            return Ok(known.clone());
        }
        let prepared = self.client.prepare(sql).await?;
        self.statements.lock().insert(sql, prepared.clone());
        Ok(prepared)
    }

    /// The rows of a statement. If it was prepared ahead, it is sent when the future is first polled.
    pub(crate) async fn query(&self, sql: &'static str, params: Vec<Param>) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query_raw(&statement, params).await?.try_collect().await?)
    }

    /// The first row of a statement.
    pub(crate) async fn first(&self, sql: &'static str, params: Vec<Param>) -> Result<Option<Row>, Fault> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement; says how many rows it was about.
    pub(crate) async fn execute(&self, sql: &'static str, params: Vec<Param>) -> Result<u64, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute_raw(&statement, params).await?)
    }

    /// Runs statements without parameters.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// The driver's client, for transfers.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Gives the connection up. What runs on the server is not cancelled: a commit that waits for a standby would count as
    /// done.
    pub(crate) fn give_up(&self) {
        self.driver.abort();
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.driver.is_finished()
    }

    /// How many warnings came so far.
    pub(crate) fn warnings(&self) -> u64 {
        self.warnings.count.load(Ordering::Acquire)
    }

    /// The last of them.
    pub(crate) fn last_warning(&self) -> String {
        self.warnings.last.lock().clone()
    }
}
