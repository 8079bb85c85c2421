//! Many callers at once.

use std::{collections::BTreeSet, sync::Arc};

use keywright_domain::{
    change::NumberedChange,
    command::{Command, CommandError},
    environment::Environment,
    key::{KeyChange, KeyError},
    store::Store,
};

use super::journal::verified;
use crate::{Installation, Recorder, VerificationState, installation::key_of};

const TASKS: usize = 64;
const PER_TASK: usize = 8;

/// 64 tasks create keys: every one is there once, with a number, a log entry and an audit entry of its own, and each
/// answer came after the sink had seen the change.
pub async fn creates_at_once<S: Store>(store: Arc<S>) {
    let recorder = Arc::new(Recorder::default());
    store.attach(recorder.clone());
    let installation = Arc::new(Installation::set_up(Arc::clone(&store)).await);
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (installation, recorder) = (Arc::clone(&installation), recorder.clone());
        tasks.push(tokio::spawn(async move {
            let mut created = Vec::new();
            for number in 0..PER_TASK {
                let new = installation.samples.new_key(&format!("key {task}.{number}"));
                let committed = installation.on_keys(Command::CreateKey(Box::new(new))).await.unwrap();
                let seen = recorder.changes().last().map_or(0, |change| change.sequence);
                assert!(seen >= committed.sequence, "answered before the sink had seen it");
                created.push((committed.sequence, key_of(committed).number));
            }
            created
        }));
    }
    let (mut sequences, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for task in tasks {
        for (sequence, number) in task.await.unwrap() {
            assert!(sequences.insert(sequence) && numbers.insert(number));
        }
    }
    let total = TASKS * PER_TASK;
    assert_eq!((numbers.len(), numbers.last().unwrap().0), (total, u32::try_from(total).unwrap()));
    let (sequence, state) = installation.load().await;
    assert_eq!((state.keys.len(), Some(&sequence)), (total, sequences.last()));
    let entries = store.audit_after(0, 10_000).await.unwrap();
    assert_eq!(verified(&entries).len(), total + 3);
}

/// Many callers rotate one key: one wins, the others are told that a rotation is in progress.
pub async fn changes_of_one_key_at_once<S: Store>(store: Arc<S>) {
    let installation = Arc::new(Installation::set_up(store).await);
    let key = installation.create_key("popular").await.id;
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let secret = installation.samples.new_secret(Environment::Production);
        let installation = Arc::clone(&installation);
        let change = KeyChange::Rotate { secret, overlap_seconds: None };
        tasks.push(tokio::spawn(async move { installation.change(key, change).await }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(CommandError::Key(KeyError::RotationInProgress)) => {}
            Err(other) => panic!("another error: {other}"),
        }
    }
    assert_eq!(won, 1);
    let stored = installation.store.key(installation.workspace.id, key).await.unwrap().unwrap();
    assert_eq!(stored.secrets.len(), 2);
}

/// A load in the middle of writes, continued by the log, ends in the same state as a load at the end.
pub async fn load_and_log_meet<S: Store>(store: Arc<S>) {
    let installation = Arc::new(Installation::set_up(Arc::clone(&store)).await);
    let mut tasks = Vec::new();
    for task in 0..8 {
        let installation = Arc::clone(&installation);
        tasks.push(tokio::spawn(async move {
            for number in 0..20 {
                let key = installation.create_key(&format!("key {task}.{number}")).await.id;
                if number % 3 == 0 {
                    installation.change(key, KeyChange::Delete).await.unwrap();
                }
            }
        }));
    }
    let mut followers: Vec<(u64, VerificationState)> = Vec::new();
    for _ in 0..5 {
        followers.push(installation.load().await);
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let (sequence, expected) = installation.load().await;
    for (mut at, mut state) in followers {
        while at < sequence {
            let changes: Vec<NumberedChange> = store.changes_after(at, 7).await.unwrap();
            assert!(!changes.is_empty());
            for change in changes {
                at += 1;
                assert_eq!(change.sequence, at);
                state.apply(change.change);
            }
        }
        assert_eq!(state, expected);
    }
}
