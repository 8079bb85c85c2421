//! Several stores on one schema, as several nodes have them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use keywright_domain::{
    audit::{AuditBody, ChainVerifier},
    change::{ChangeSink, NumberedChange},
    command::Command,
    key::{KeyChange, KeyNumber, KeyPatch},
    store::Store as _,
    time::Timestamp,
    usage::{AgentClass, UsageBatch, UsageRow},
    verdict::Code,
};
use keywright_store_postgres::PostgresStore;
use keywright_testkit::{Installation, Samples};

use crate::server::{own_schema, shared};

/// The log has no gaps, and the audit chain verifies.
pub(crate) async fn check_logs(store: &PostgresStore) {
    let changes = store.changes_after(0, u32::MAX).await.unwrap();
    assert!((1..).zip(&changes).all(|(expected, change)| change.sequence == expected));
    let sequence = store.load(Box::new(|_| {})).await.unwrap();
    assert_eq!(u64::try_from(changes.len()).unwrap(), sequence);
    let mut verifier = ChainVerifier::default();
    for entry in store.audit_after(0, u32::MAX).await.unwrap() {
        let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
        verifier.push(&entry, &body.personal).unwrap();
    }
    assert_eq!((verifier.last(), verifier.hash()), store.audit_head().await.unwrap());
}

/// The numbers of the changes that a node heard of from its own store: with gaps, because other nodes write, too.
#[derive(Default)]
struct Seen(Mutex<Vec<u64>>);

impl ChangeSink for Seen {
    fn committed(&self, changes: &[NumberedChange]) {
        self.0.lock().unwrap().extend(changes.iter().map(|change| change.sequence));
    }
}

/// Three stores on a schema of their own, which the first has set up.
async fn three_nodes() -> (Vec<Arc<PostgresStore>>, Installation<PostgresStore>) {
    let options = own_schema(shared());
    let mut stores = Vec::new();
    for _ in 0..3 {
        let store = PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap();
        stores.push(Arc::new(store));
    }
    let installation = Installation::set_up(Arc::clone(&stores[0])).await;
    (stores, installation)
}

/// One row of usage.
pub(crate) fn usage_row(key: KeyNumber, count: u64) -> UsageRow {
    UsageRow {
        key,
        secret_ordinal: 1,
        minute: 1_000,
        address: None,
        route: String::new(),
        code: Code::Valid,
        agent: AgentClass::Unknown,
        count,
        cost: count,
        last_at: Timestamp::from_unix_ms(60_000_000),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_write_one_log() {
    let options = own_schema(shared());
    let first = Arc::new(PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap());
    let second = Arc::new(PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap());
    let installation = Installation::set_up(Arc::clone(&first)).await;
    let workspace = installation.workspace.id;
    let mut tasks = Vec::new();
    let recorders = [Arc::new(Seen::default()), Arc::new(Seen::default())];
    for (store, recorder) in [&first, &second].into_iter().zip(&recorders) {
        store.attach(recorder.clone());
    }
    for task in 0..16_u64 {
        let store = Arc::clone(if task % 2 == 0 { &first } else { &second });
        tasks.push(tokio::spawn(async move {
            let samples = Samples::new(10_000 + task);
            let permit = Samples::keys_permit(workspace);
            for _ in 0..15 {
                let new = samples.new_key("shared");
                let key = new.id;
                store.execute(samples.context(permit), Command::CreateKey(Box::new(new))).await.unwrap();
                let change = KeyChange::Revoke { reason: None };
                let command = Command::ChangeKey { key, change };
                store.execute(samples.context(permit), command).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    check_logs(&first).await;
    assert_eq!(second.key_count().await.unwrap(), 16 * 15);
    let seen = recorders.map(|recorder| recorder.0.lock().unwrap().clone());
    assert_eq!((seen[0].len(), seen[1].len()), (16 * 15, 16 * 15), "each node hears of its own at once");
    assert!(seen.iter().all(|sequences| sequences.is_sorted()));
    let all: BTreeSet<_> = seen.iter().flatten().collect();
    assert_eq!(all.len(), 2 * 16 * 15);
}

/// Each change says what was there before: if one had been decided on what another had replaced, two would say the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_change_one_key_see_what_the_others_did() {
    let (stores, installation) = three_nodes().await;
    let (workspace, key) = (installation.workspace.id, installation.create_key("name 0").await.id);
    let mut tasks = Vec::new();
    for (node, store) in (0_u64..).zip(&stores) {
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let samples = Samples::new(20_000 + node);
            for step in 0..100 {
                let patch = KeyPatch { name: Some(format!("name {node} {step}")), ..KeyPatch::default() };
                let command = Command::ChangeKey { key, change: KeyChange::Patch(Box::new(patch)) };
                store.execute(samples.context(Samples::keys_permit(workspace)), command).await.unwrap();
                if node == 0 {
                    // Long enough for commands that are alone in the installation.
                    tokio::time::sleep(std::time::Duration::from_millis(step % 7)).await;
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    check_logs(&stores[1]).await;
    let mut last = None;
    for entry in stores[1].audit_after(0, u32::MAX).await.unwrap() {
        let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
        let Some(field) = body.fields.iter().find(|field| field.field == "name") else { continue };
        if body.action == "key.updated" {
            assert!(last.is_none() || field.before == last, "{:?} after {last:?}", field.before);
            last.clone_from(&field.after);
        }
    }
    let changed = stores[2].changes_after(0, u32::MAX).await.unwrap();
    assert!(changed.len() > 300, "{}", changed.len());
    assert!(last.is_some_and(|name| name.ends_with(" 99")), "the last change of one of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_count_the_same_keys_do_not_block_each_other() {
    let (stores, installation) = three_nodes().await;
    let mut keys = Vec::new();
    for number in 0..20 {
        keys.push(installation.create_key(&format!("key {number}")).await.number);
    }
    let mut tasks = Vec::new();
    for (node, store) in (0_u8..).zip(&stores) {
        let (store, keys) = (Arc::clone(store), keys.clone());
        tasks.push(tokio::spawn(async move {
            for batch in 0..30 {
                // Each node has its own order; the store brings them into one.
                let mut rows: Vec<_> = keys.iter().map(|key| usage_row(*key, 1)).collect();
                rows.rotate_left(usize::from(node) * 5);
                store.flush_usage(UsageBatch { incarnation: [node; 16], batch, rows }).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for key in keys {
        let ledger = stores[1].ledger(key, None, 10).await.unwrap();
        assert_eq!(ledger.iter().map(|row| row.count).sum::<u64>(), 90);
    }
}
