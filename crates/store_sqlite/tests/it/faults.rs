//! Full disks and read-only files: nothing partial, and all is well afterwards.

use std::sync::Arc;

use keywright_domain::{
    audit::{AuditBody, ChainVerifier},
    command::{Command, CommandError},
    key::KeyChange,
    query::KeyFilter,
    store::{Store as _, StoreError},
    usage::{AgentClass, UsageBatch, UsageRow},
    verdict::Code,
};
use keywright_store_sqlite::{Access, Options, SqliteStore};
use keywright_testkit::{Failure, FaultyStore, Installation, Samples};
use tempfile::TempDir;

/// The log has no gaps, the chain verifies, and both tell of the same keys as the tables.
async fn check(installation: &Installation<SqliteStore>) -> usize {
    let store = &installation.store;
    let mut verifier = ChainVerifier::default();
    let mut created = 0;
    for entry in store.audit_after(0, u32::MAX).await.unwrap() {
        let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
        created += usize::from(body.action == "key.created");
        verifier.push(&entry, &body.personal).unwrap();
    }
    assert_eq!((verifier.last(), verifier.hash()), store.audit_head().await.unwrap());
    let (sequence, state) = installation.load().await;
    let changes = store.changes_after(0, u32::MAX).await.unwrap();
    assert!((1..).zip(&changes).all(|(expected, change)| change.sequence == expected));
    assert_eq!(changes.len(), usize::try_from(sequence).unwrap());
    assert_eq!(state.keys.len(), created);
    assert!(state.keys.values().all(|key| key.secrets.len() == 1));
    created
}

fn is_full<T>(answer: &Result<T, CommandError>) -> bool {
    match answer {
        Ok(_) => false,
        Err(CommandError::Store(StoreError::Full(_))) => true,
        Err(other) => panic!("another error: {other}"),
    }
}

async fn set_up() -> (Arc<Installation<SqliteStore>>, TempDir) {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(
        SqliteStore::open(directory.path(), &Options::default(), keywright_testkit::vault()).unwrap(),
    );
    (Arc::new(Installation::set_up(store).await), directory)
}

/// The disk is full one page later each time: alone and in groups, creations that fail leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_at_every_size() {
    let (installation, _directory) = set_up().await;
    let (mut expected, mut failures, mut next) = (0, 0, 0);
    let mut create = |count: usize| {
        let commands: Vec<_> = (0..count)
            .map(|_| {
                next += 1;
                let mut new = installation.samples.new_key(&format!("key {next}"));
                new.metadata = format!(r#"{{"filler":"{}"}}"#, "x".repeat(next % 7 * 500));
                Command::CreateKey(Box::new(new))
            })
            .collect();
        let installation = Arc::clone(&installation);
        async move {
            let tasks: Vec<_> = commands
                .into_iter()
                .map(|command| {
                    let installation = Arc::clone(&installation);
                    tokio::spawn(async move { installation.on_keys(command).await })
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap());
            }
            answers
        }
    };
    for extra in 0..40 {
        let pages = installation.store.pages().await.unwrap();
        installation.store.limit_pages(pages + extra % 5).await.unwrap();
        for round in 0..6 {
            let answers = create(if round % 2 == 0 { 1 } else { 9 }).await;
            failures += answers.iter().filter(|answer| is_full(answer)).count();
            expected += answers.iter().filter(|answer| answer.is_ok()).count();
        }
        assert_eq!(check(&installation).await, expected, "with {extra} pages more");
        installation.store.limit_pages(1_000_000).await.unwrap();
        let answers = create(1).await;
        assert!(answers[0].is_ok(), "there is room again");
        expected += 1;
    }
    assert!(failures > 200, "only {failures} failures");
    installation.store.quick_check().await.unwrap();
    assert_eq!(check(&installation).await, expected);
}

/// Changes that fail for want of space change nothing; the same change succeeds later.
#[tokio::test]
async fn changes_on_a_full_disk() {
    let (installation, _directory) = set_up().await;
    let mut keys = Vec::new();
    for number in 0..200 {
        keys.push(installation.create_key(&format!("key {number}")).await.id);
    }
    let before = installation.load().await;
    let pages = installation.store.pages().await.unwrap();
    installation.store.limit_pages(pages).await.unwrap();
    let revoke =
        || Command::RevokeKeys { filter: KeyFilter::default(), reason: Some("A long reason. ".repeat(20)) };
    assert!(is_full(&installation.on_keys(revoke()).await));
    assert_eq!(installation.load().await, before);
    check(&installation).await;
    installation.store.limit_pages(1_000_000).await.unwrap();
    installation.on_keys(revoke()).await.unwrap();
    let (_, state) = installation.load().await;
    assert!(state.keys.values().all(|key| key.revoked));
    check(&installation).await;
}

/// A batch of usage that found no room is sent again, and counts once.
#[tokio::test]
async fn usage_on_a_full_disk() {
    let (installation, _directory) = set_up().await;
    let key = installation.create_key("busy").await.number;
    let row = |minute| UsageRow {
        key,
        secret_ordinal: 1,
        minute,
        address: None,
        route: format!("/route/{minute}"),
        code: Code::Valid,
        agent: AgentClass::Library,
        count: 1,
        cost: 1,
        last_at: Samples::NOW,
    };
    let batch = || UsageBatch { incarnation: [1; 16], batch: 1, rows: (0..20_000).map(row).collect() };
    let mut failures = 0;
    for extra in (0..).step_by(50) {
        let pages = installation.store.pages().await.unwrap();
        installation.store.limit_pages(pages + extra).await.unwrap();
        match installation.store.flush_usage(batch()).await {
            Ok(()) => break,
            Err(StoreError::Full(_)) => failures += 1,
            Err(other) => panic!("another error: {other}"),
        }
    }
    assert!(failures > 2, "only {failures} failures");
    let costs = installation.store.recent_cost(0).await.unwrap();
    assert_eq!((costs.len(), costs.iter().map(|(.., cost)| cost).sum::<u64>()), (20_000, 20_000));
}

#[tokio::test]
async fn a_store_that_cannot_be_written_says_so_and_answers() {
    let (installation, _directory) = set_up().await;
    let key = installation.create_key("worker").await;
    let store = &installation.store;
    store.set_access(Access::ReadOnly).await.unwrap();
    let answer = installation.change(key.id, KeyChange::Disable).await;
    assert!(matches!(answer, Err(CommandError::Store(StoreError::ReadOnly(_)))), "{answer:?}");
    let error = store.check_writable().await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    assert_eq!(store.key(installation.workspace.id, key.id).await.unwrap(), Some(key.clone()));
    store.set_access(Access::ReadWrite).await.unwrap();
    store.check_writable().await.unwrap();
    installation.change(key.id, KeyChange::Disable).await.unwrap();
    check(&installation).await;
}

/// In one group: a command that fails halfway, refused ones and good ones. Each gets its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_halfway_fails_alone() {
    let (installation, _directory) = set_up().await;
    let taken = installation.create_key("first").await.secrets[0].locator;
    for round in 0..20 {
        let tasks: Vec<_> = (0..24)
            .map(|number| {
                let mut new = installation.samples.new_key(if number % 5 == 0 { "" } else { "good" });
                if number % 7 == 3 {
                    // The key's row is written before its secret is found to be a duplicate.
                    new.secret.locator = taken;
                }
                let installation = Arc::clone(&installation);
                let command = Command::CreateKey(Box::new(new));
                (number, tokio::spawn(async move { installation.on_keys(command).await }))
            })
            .collect();
        for (number, task) in tasks {
            let answer = task.await.unwrap();
            let is_right = match &answer {
                Ok(_) => number % 5 != 0 && number % 7 != 3,
                Err(CommandError::Key(_)) => number % 5 == 0,
                Err(CommandError::Store(StoreError::Internal(_))) => number % 7 == 3,
                Err(_) => false,
            };
            assert!(is_right, "round {round}, command {number}: {answer:?}");
        }
    }
    let good = (0..24).filter(|number| number % 5 != 0 && number % 7 != 3).count();
    assert_eq!(check(&installation).await, 20 * good + 1);
}

/// Every call of a scenario fails once, in every way: whatever was answered, the store is whole, and what was
/// acknowledged is there.
#[tokio::test]
async fn every_call_fails_once() {
    for failure in Failure::ALL {
        let mut calls = 0;
        loop {
            let store = Arc::new(SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap());
            let installation = Installation::set_up(Arc::clone(&store)).await;
            let faulty = FaultyStore::new(Arc::clone(&store));
            faulty.fail_at(calls + 1, failure);
            let acknowledged = scenario(&faulty, &installation).await;
            let has_failed = faulty.has_failed();
            let present = check(&installation).await;
            let unknown = usize::from(has_failed && failure == Failure::CommitUnknown);
            assert!(
                (acknowledged..=acknowledged + unknown).contains(&present),
                "{failure:?} at call {calls}"
            );
            if !has_failed {
                assert_eq!((acknowledged, faulty.calls()), (3, 6));
                break;
            }
            calls += 1;
        }
        assert_eq!(calls, 6);
    }
}

/// Three creations, each followed by a question. Returns how many creations were acknowledged.
async fn scenario(store: &FaultyStore<SqliteStore>, installation: &Installation<SqliteStore>) -> usize {
    let mut acknowledged = 0;
    for name in ["one", "two", "three"] {
        let new = installation.samples.new_key(name);
        let id = new.id;
        let context = installation.samples.context(installation.keys_permit());
        let created = store.execute(context, Command::CreateKey(Box::new(new))).await.is_ok();
        acknowledged += usize::from(created);
        if let Ok(found) = store.key(installation.workspace.id, id).await {
            assert!(found.is_some() || !created);
        }
    }
    acknowledged
}
