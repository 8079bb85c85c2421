//! Servers that follow others.

use std::{sync::Arc, time::Duration};

use keywright_domain::{
    command::{Command, CommandError},
    store::{Store as _, StoreError},
};
use keywright_store_postgres::{ConnectError, PostgresOptions, PostgresStore, Promise};
use keywright_testkit::{Installation, PostgresServer};
use tokio::time::sleep;

use crate::server::own_schema;

async fn eventually(server: &PostgresServer, sql: &str, expected: &str) {
    for _ in 0..500 {
        if server.sql(sql) == expected {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("never {expected}: {sql}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_refused_and_told_of_and_another_history_takes_nothing() {
    let primary = PostgresServer::start();
    let mut options = own_schema(&primary);
    let store = Arc::new(PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap());
    Installation::set_up(Arc::clone(&store)).await;
    let standby = tokio::task::block_in_place(|| primary.standby("second"));
    eventually(&primary, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "1").await;
    let durability = store.durability().await.unwrap();
    assert_eq!(durability.promise(), Promise::BestEffortAcrossFailover);
    options.url = PostgresOptions::new(standby.url()).url;
    let error = PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.err().unwrap();
    assert!(matches!(error, ConnectError::Standby), "{error}");

    // As the control log notes it when the first node starts.
    let schema = &options.schema;
    primary.sql(&format!(
        "UPDATE {schema}.head SET generation = 1, epoch = (SELECT system_identifier FROM pg_control_system()) || '/1'"
    ));
    store.check_writable().await.unwrap();
    let sequence = "SELECT sent_lsn = replay_lsn FROM pg_stat_replication";
    eventually(&primary, sequence, "t").await;
    tokio::task::block_in_place(|| {
        primary.stop();
        standby.promote();
    });
    let promoted =
        Arc::new(PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap());
    assert_eq!(promoted.durability().await.unwrap().timeline, "00000002");
    let workspace = promoted.workspaces(None, 1).await.unwrap().items.remove(0);
    let samples = keywright_testkit::Samples::new(77);
    let create = async || {
        let permit = keywright_testkit::Samples::keys_permit(workspace.id);
        promoted.execute(samples.context(permit), Command::CreateKey(Box::new(samples.new_key("new")))).await
    };
    let error = create().await.unwrap_err();
    assert!(
        matches!(&error, CommandError::Store(StoreError::Unavailable(text)) if text.contains("new generation")),
        "{error}"
    );
    // As the control log begins a generation: its numbers begin far above.
    standby.sql(&format!(
        "UPDATE {schema}.head SET generation = 2, sequence = ((sequence >> 32) + 1) << 32, \
         epoch = (SELECT system_identifier FROM pg_control_system()) || '/2'"
    ));
    assert_eq!(create().await.unwrap().sequence, (1 << 32) + 1);
    let old = promoted.changes_after(0, 100).await.unwrap();
    assert!(!old.is_empty() && old.iter().all(|change| change.sequence < 1 << 32));
    let last = old.last().unwrap().sequence;
    assert!(promoted.changes_after(last, 100).await.unwrap().is_empty(), "a jump is a gap");
    assert_eq!(promoted.changes_after(1 << 32, 100).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_wait_for_a_standby_is_not_a_commit() {
    let server = PostgresServer::start();
    let store =
        Arc::new(PostgresStore::connect(own_schema(&server), keywright_testkit::vault()).await.unwrap());
    let installation = Arc::new(Installation::set_up(Arc::clone(&store)).await);
    server.configure(&[("synchronous_standby_names", "nobody")]);
    server.reload();
    eventually(&server, "SHOW synchronous_standby_names", "nobody").await;
    let creating = tokio::spawn({
        let installation = Arc::clone(&installation);
        async move {
            let new = installation.samples.new_key("perhaps");
            installation.on_keys(Command::CreateKey(Box::new(new))).await
        }
    });
    let waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    eventually(&server, &format!("SELECT count(*) {waiting}"), "1").await;
    server.sql(&format!("SELECT pg_cancel_backend(pid) {waiting}"));
    let error = creating.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, CommandError::Store(StoreError::CommitUnknown(text)) if text.contains("synchronous")),
        "{error}"
    );
    server.configure(&[("synchronous_standby_names", "")]);
    server.reload();
    eventually(&server, "SHOW synchronous_standby_names", "").await;
    store.check_writable().await.unwrap();
}
