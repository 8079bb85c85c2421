//! Crashes of the server in the middle of writes: what was acknowledged is there, what was refused is not.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keywright_domain::{
    command::{Command, CommandError},
    ids::KeyId,
    key::KeyChange,
    store::{Store as _, StoreError},
};
use keywright_store_postgres::{PostgresStore, Promise};
use keywright_testkit::{Installation, PostgresServer, Samples};
use tokio::time::sleep;

use crate::{network::recovered, nodes::check_logs, server::own_schema};

/// What one task was told.
#[derive(Default)]
struct Told {
    created: BTreeSet<KeyId>,
    revoked: BTreeSet<KeyId>,
    refused: BTreeSet<KeyId>,
    unknown: usize,
}

async fn write(
    store: Arc<PostgresStore>,
    samples: Samples,
    permit_for: keywright_domain::ids::WorkspaceId,
    stop: Arc<AtomicBool>,
) -> Told {
    let permit = Samples::keys_permit(permit_for);
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        let new = samples.new_key("written");
        let key = new.id;
        match store.execute(samples.context(permit), Command::CreateKey(Box::new(new))).await {
            Ok(_) => drop(told.created.insert(key)),
            Err(CommandError::Store(StoreError::Unavailable(_))) => {
                told.refused.insert(key);
                sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err(CommandError::Store(StoreError::CommitUnknown(_))) => {
                told.unknown += 1;
                continue;
            }
            Err(other) => panic!("another error: {other}"),
        }
        let change = KeyChange::Revoke { reason: None };
        match store.execute(samples.context(permit), Command::ChangeKey { key, change }).await {
            Ok(_) => drop(told.revoked.insert(key)),
            Err(CommandError::Store(StoreError::Unavailable(_) | StoreError::CommitUnknown(_))) => {}
            Err(other) => panic!("another error: {other}"),
        }
    }
    told
}

async fn check(store: &PostgresStore, told: &Told) {
    let mut found = BTreeSet::new();
    let mut revoked = BTreeSet::new();
    for change in store.changes_after(0, u32::MAX).await.unwrap() {
        if let keywright_domain::change::Change::Key(key) = change.change {
            found.insert(key.id);
            if key.revoked {
                revoked.insert(key.id);
            }
        }
    }
    assert!(told.created.is_subset(&found), "an acknowledged key is gone");
    assert!(told.revoked.is_subset(&revoked), "an acknowledged revocation is gone");
    assert!(told.refused.is_disjoint(&found), "a key exists that was refused");
    check_logs(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_lose_nothing_acknowledged() {
    let server = PostgresServer::start();
    let options = own_schema(&server);
    let stores = [
        Arc::new(PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap()),
        Arc::new(PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap()),
    ];
    let workspace = Installation::set_up(Arc::clone(&stores[0])).await.workspace.id;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..12_u64)
        .map(|task| {
            let store = Arc::clone(&stores[usize::from(task % 2 == 0)]);
            tokio::spawn(write(store, Samples::new(500 + task), workspace, Arc::clone(&stop)))
        })
        .collect();
    for round in 0..6_u64 {
        sleep(Duration::from_millis(400 + round * 37)).await;
        tokio::task::block_in_place(|| {
            if round % 2 == 0 {
                server.restart_immediate();
            } else {
                server.kill();
                server.start_again();
            }
        });
    }
    sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Told::default();
    for writer in writers {
        let told = writer.await.unwrap();
        all.created.extend(told.created);
        all.revoked.extend(told.revoked);
        all.refused.extend(told.refused);
        all.unknown += told.unknown;
    }
    assert!(all.revoked.len() > 100, "only {} revocations were acknowledged", all.revoked.len());
    assert!(!all.refused.is_empty(), "no command met a crash");
    check(&stores[0], &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_said_to_be_and_comes_back() {
    let server = PostgresServer::start();
    let store =
        Arc::new(PostgresStore::connect(own_schema(&server), keywright_testkit::vault()).await.unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    tokio::task::block_in_place(|| server.stop());
    sleep(Duration::from_millis(100)).await;
    for _ in 0..3 {
        let error = store.check_writable().await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(_)), "{error}");
        let error = store.plans().await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Unavailable(text) if text.contains("check that it runs")),
            "{error}"
        );
    }
    tokio::task::block_in_place(|| server.start_again());
    recovered(&store).await;
    installation.create_key("after").await;
}

/// A server whose commits do not wait for the disk by default, and which leaves writing to it to a process that is seldom
/// awake: what is not flushed when it is killed is lost. The store's own commits wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_flushed_whatever_the_server_does_by_default() {
    let server = PostgresServer::start_with(&[("synchronous_commit", "off"), ("wal_writer_delay", "10s")]);
    let options = own_schema(&server);
    let store = Arc::new(PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    assert_eq!(store.durability().await.unwrap().promise(), Promise::Strict);
    for number in 0..3 {
        let key = installation.create_key(&format!("key {number}")).await;
        installation.change(key.id, KeyChange::Revoke { reason: None }).await.unwrap();
        tokio::task::block_in_place(|| {
            server.kill();
            server.start_again();
        });
        recovered(&store).await;
        let found = store.key(key.workspace, key.id).await.unwrap().unwrap();
        assert!(found.revoked.is_some(), "{number}");
    }
}
