//! Durable creations and revocations per second through one node's writer, the time a single change takes to be read by
//! another node, and the time that the start needs to read many keys.
//!
//! `cargo run --release -p keywright-store-postgres --example measure [KEYS]`; starts a PostgreSQL server of its own with
//! its usual settings, `fsync` among them.
#![expect(clippy::print_stdout, reason = "a measurement for people")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs the time")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails need not go on")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use keywright_domain::{
    change::Change, command::Command, ids::KeyId, key::KeyChange, plan::Plan, store::Store as _,
    workspace::WorkspacePatch,
};
use keywright_store_postgres::{PostgresOptions, PostgresStore};
use keywright_testkit::{Installation, PostgresServer, Samples};

fn main() -> Result<(), Box<dyn Error>> {
    let keys: usize = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let server = PostgresServer::start_with(&[("shared_buffers", "256MB"), ("max_wal_size", "4GB")]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(&server, keys));
    Ok(())
}

async fn measure(server: &PostgresServer, keys: usize) {
    let store = connect(server).await;
    let installation = Arc::new(Installation::set_up(Arc::clone(&store)).await);
    let policy = keywright_domain::workspace::WorkspacePolicy {
        max_keys: u32::try_from(keys + 100_000).unwrap(),
        ..installation.workspace.policy.clone()
    };
    let patch = WorkspacePatch {
        policy: Some(policy),
        plan: Some(Plan::builtin()[0].name.clone()),
        ..Default::default()
    };
    drop(installation.patch_workspace(patch).await);
    for (callers, count) in [(1, 1_000), (64, 10_000), (512, keys)] {
        let start = Instant::now();
        create(&installation, callers, count).await;
        let per_second = to_f64(count) / start.elapsed().as_secs_f64();
        println!("{callers:>3} concurrent callers: {per_second:>7.0} creations/s ({count})");
    }
    let other = connect(server).await;
    one_by_one(&installation, &other).await;
    for _ in 0..3 {
        let count = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&count);
        let start = Instant::now();
        let load = store.load(Box::new(move |change| {
            if let Change::Key(key) = change {
                seen.fetch_add(u64::from(key.number.0 > 0), Ordering::Relaxed);
            }
        }));
        load.await.unwrap();
        println!("{} keys loaded in {:.2?}", count.load(Ordering::Relaxed), start.elapsed());
    }
}

async fn connect(server: &PostgresServer) -> Arc<PostgresStore> {
    Arc::new(
        PostgresStore::connect(PostgresOptions::new(server.url()), keywright_testkit::vault()).await.unwrap(),
    )
}

async fn create(installation: &Arc<Installation<PostgresStore>>, callers: usize, count: usize) {
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let installation = Arc::clone(installation);
        tasks.push(tokio::spawn(async move {
            for number in (caller..count).step_by(callers) {
                let mut new = installation.samples.new_key("production web application");
                let created_at = Samples::NOW.plus_ms(i64::try_from(number / 10).unwrap());
                new.id = KeyId::generate(created_at, installation.samples.entropy());
                new.metadata =
                    format!(r#"{{"customer":"{number:08}","team":"payments","region":"eu-west"}}"#);
                installation.on_keys(Command::CreateKey(Box::new(new))).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// One revocation after the other, each read by another node.
async fn one_by_one(installation: &Installation<PostgresStore>, other: &PostgresStore) {
    let (mut commits, mut reads) = (Vec::new(), Vec::new());
    for number in 0..500 {
        let key = installation.create_key(&format!("key {number}")).await.id;
        let start = Instant::now();
        let change = KeyChange::Revoke { reason: None };
        let sequence = installation.change(key, change).await.unwrap().sequence;
        commits.push(start.elapsed());
        let start = Instant::now();
        assert_eq!(other.changes_after(sequence - 1, 100).await.unwrap().len(), 1);
        reads.push(start.elapsed());
    }
    println!("revocation, commit:     {}", percentiles(commits));
    println!("its change, read:       {}", percentiles(reads));
}

fn percentiles(mut all: Vec<Duration>) -> String {
    all.sort_unstable();
    format!("p50 {:.2?}, p99 {:.2?}", all[all.len() / 2], all[all.len() * 99 / 100])
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
