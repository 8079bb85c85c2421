//! A network that loses things.

use std::{sync::Arc, time::Duration};

use keywright_domain::{
    command::{Command, CommandError},
    key::KeyChange,
    store::{Store as _, StoreError},
};
use keywright_store_postgres::{PostgresOptions, PostgresStore};
use keywright_testkit::{Installation, Recorder};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    proxy::{Fault, Proxy},
    server::{own_schema, shared},
};

/// Longer than everything that has a limit here.
const AT_MOST: Duration = Duration::from_secs(20);

async fn behind_a_proxy() -> (Proxy, Installation<PostgresStore>, PostgresOptions) {
    let proxy = Proxy::start(shared().port());
    let mut options = own_schema(shared());
    options.url = PostgresOptions::new(shared().url_through(proxy.port())).url;
    options.connect_timeout = Duration::from_secs(3);
    options.statement_timeout = Duration::from_secs(2);
    options.idle_in_transaction_timeout = Duration::from_millis(500);
    options.answer_timeout = Duration::from_secs(1);
    options.resolve_timeout = Duration::from_secs(8);
    let store = Arc::new(PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap());
    (proxy, Installation::set_up(store).await, options)
}

async fn create(installation: &Installation<PostgresStore>, name: &str) -> Result<u64, StoreError> {
    let new = installation.samples.new_key(name);
    let creating = installation.on_keys(Command::CreateKey(Box::new(new)));
    match timeout(AT_MOST, creating).await.expect("an answer comes in time") {
        Ok(committed) => Ok(committed.sequence),
        Err(CommandError::Store(error)) => Err(error),
        Err(other) => panic!("another error: {other}"),
    }
}

/// Waits until the store can be written again, and every connection that reads is back.
pub(crate) async fn recovered(store: &PostgresStore) {
    let until = Instant::now() + AT_MOST;
    while store.check_writable().await.is_err() || !answers(store).await {
        assert!(Instant::now() < until, "the store does not come back");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Whether questions are answered; they go to the connections in turn.
async fn answers(store: &PostgresStore) -> bool {
    for _ in 0..8 {
        if store.plans().await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_are_noticed() {
    let (proxy, installation, _) = behind_a_proxy().await;
    proxy.set(Fault::Silence);
    let error = create(&installation, "into the void").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let question = timeout(AT_MOST, installation.store.plans()).await.expect("an answer comes in time");
    assert!(matches!(question, Err(StoreError::Unavailable(_))));
    // While there is no connection, nobody waits.
    let since = Instant::now();
    let error = create(&installation, "at once").await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("tried again")), "{error}");
    assert!(since.elapsed() < Duration::from_millis(900));
    proxy.set(Fault::None);
    recovered(&installation.store).await;
    create(&installation, "again").await.unwrap();
    assert_eq!(installation.store.key_count().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_arrived_is_found_although_its_answer_was_lost() {
    let (proxy, installation, _) = behind_a_proxy().await;
    let recorder = Arc::new(Recorder::default());
    installation.store.attach(recorder.clone());
    for round in 0..3 {
        proxy.set(Fault::SwallowAnswer);
        let name = format!("key {round}");
        let (created, ()) = tokio::join!(create(&installation, &name), async {
            sleep(Duration::from_millis(300)).await;
            proxy.set(Fault::None);
            if round == 1 {
                proxy.cut();
            }
        });
        let sequence = created.expect("the audit trail tells that it was committed");
        assert_eq!(recorder.changes().last().unwrap().sequence, sequence);
    }
    assert_eq!(installation.store.key_count().await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrived_took_no_place() {
    let (proxy, installation, _) = behind_a_proxy().await;
    for cut in [false, true] {
        proxy.set(Fault::SwallowCommit);
        let (created, ()) = tokio::join!(create(&installation, "lost"), async {
            sleep(Duration::from_millis(300)).await;
            proxy.set(Fault::None);
            if cut {
                proxy.cut();
            }
        });
        let error = created.unwrap_err();
        assert!(
            matches!(&error, StoreError::Unavailable(text) if text.contains("did not take place")),
            "{error}"
        );
        recovered(&installation.store).await;
        assert_eq!(installation.store.key_count().await.unwrap(), 0);
    }
}

/// A change of one key is one statement, which locks nothing before it arrives: whoever looks for it must make sure that it
/// cannot take place afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_arrives_after_it_was_looked_for_takes_no_place() {
    let (proxy, installation, _) = behind_a_proxy().await;
    let key = installation.create_key("spared").await.id;
    let revoke = || installation.change(key, KeyChange::Revoke { reason: None });
    proxy.set(Fault::DelayCommit);
    let (revoked, ()) = tokio::join!(revoke(), async {
        sleep(Duration::from_millis(300)).await;
        proxy.set(Fault::None);
    });
    let error = revoked.unwrap_err();
    assert!(
        matches!(&error, CommandError::Store(StoreError::Unavailable(text)) if text.contains("did not take place")),
        "{error}"
    );
    let head = installation.store.audit_head().await.unwrap();
    assert_eq!(proxy.deliver(), 1, "the statement was on its way");
    sleep(Duration::from_millis(500)).await;
    assert_eq!(installation.store.audit_head().await.unwrap(), head, "it came too late");
    recovered(&installation.store).await;
    assert!(revoke().await.unwrap().restricting, "it was not revoked before");
    crate::nodes::check_logs(&installation.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_found_out_is_unknown_and_the_sink_hears_of_it_later() {
    let (proxy, _, mut options) = behind_a_proxy().await;
    options.schema.push_str("_2");
    options.resolve_timeout = Duration::from_millis(700);
    let store = Arc::new(PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let recorder = Arc::new(Recorder::default());
    store.attach(recorder.clone());
    let key = installation.create_key("doomed").await.id;
    proxy.set(Fault::SwallowAnswer);
    let (revoked, ()) = tokio::join!(installation.change(key, KeyChange::Revoke { reason: None }), async {
        sleep(Duration::from_millis(300)).await;
        proxy.set(Fault::Refuse);
    });
    let error = revoked.unwrap_err();
    assert!(matches!(&error, CommandError::Store(StoreError::CommitUnknown(_))), "{error}");
    assert_eq!(recorder.changes().len(), 1);
    proxy.set(Fault::None);
    recovered(&store).await;
    let until = Instant::now() + AT_MOST;
    while recorder.changes().len() < 2 {
        assert!(Instant::now() < until, "the sink is not told");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(recorder.changes()[1].restricting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_counts_once_whatever_the_network_does() {
    let (proxy, installation, _) = behind_a_proxy().await;
    let key = installation.create_key("counted").await;
    let store = &installation.store;
    for batch in 0..4 {
        let rows = vec![crate::nodes::usage_row(key.number, 7)];
        let batch = keywright_domain::usage::UsageBatch { incarnation: [1; 16], batch, rows };
        proxy.set(if batch.batch.is_multiple_of(2) { Fault::None } else { Fault::Silence });
        let mut flushed = timeout(AT_MOST, store.flush_usage(batch.clone())).await.unwrap();
        proxy.set(Fault::None);
        while flushed.is_err() {
            sleep(Duration::from_millis(50)).await;
            flushed = timeout(AT_MOST, store.flush_usage(batch.clone())).await.unwrap();
        }
        store.flush_usage(batch).await.unwrap();
    }
    recovered(store).await;
    let ledger = store.ledger(key.number, None, 10).await.unwrap();
    assert_eq!(ledger.iter().map(|row| row.count).sum::<u64>(), 4 * 7);
}
