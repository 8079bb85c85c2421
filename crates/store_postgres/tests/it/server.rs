//! One server for most tests; each has a schema of its own.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use keywright_store_postgres::{AnnouncementKey, PostgresOptions, PostgresStore};
use keywright_testkit::PostgresServer;
use zeroize::Zeroizing;

/// The server that tests share which do not disturb it.
pub(crate) fn shared() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start)
}

/// Options for a schema that nobody else uses.
pub(crate) fn own_schema(server: &PostgresServer) -> PostgresOptions {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let mut options = PostgresOptions::new(server.url());
    options.schema = format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    options.readers = 1;
    options.announcement_key = Some(AnnouncementKey::new(Zeroizing::new([7; 32])));
    // Builds without optimisation on a busy machine.
    options.idle_in_transaction_timeout = Duration::from_secs(30);
    options.statement_timeout = Duration::from_secs(30);
    options.lock_timeout = Duration::from_secs(30);
    options.answer_timeout = Duration::from_secs(40);
    options.resolve_timeout = Duration::from_secs(30);
    options
}

/// A store on a new schema of the shared server.
pub(crate) async fn empty_store() -> Arc<PostgresStore> {
    empty_store_in(own_schema(shared())).await
}

/// A store with these options.
pub(crate) async fn empty_store_in(options: PostgresOptions) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap())
}

/// Somebody carries out the statement in this schema and keeps the transaction open for a while. Returns when it is.
pub(crate) fn hold(schema: &str, statement: &str) -> tokio::task::JoinHandle<std::process::Output> {
    let statements = format!("SET search_path TO {schema}; BEGIN; {statement}; SELECT pg_sleep(0.4); COMMIT");
    let holder = tokio::task::spawn_blocking(move || shared().try_sql(&statements));
    let asleep = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{schema}; BEGIN%' AND wait_event = 'PgSleep'"
    );
    while shared().sql(&asleep) != "1" && !holder.is_finished() {}
    holder
}
