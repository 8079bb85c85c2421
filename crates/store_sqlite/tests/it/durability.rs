//! kill -9 in the middle of writes: what was acknowledged is there.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command as Process, Stdio},
    sync::Arc,
    time::Duration,
};

use keywright_domain::{
    audit::{AuditBody, ChainVerifier},
    change::KeyView,
    command::Command,
    ids::KeyId,
    key::KeyChange,
    store::Store as _,
    time::Timestamp,
};
use keywright_store_sqlite::{Options, SqliteStore};
use keywright_testkit::{Installation, Samples, VerificationState};
use parking_lot::Mutex;
use tempfile::TempDir;

const DIRECTORY: &str = "KEYWRIGHT_DURABILITY_DIRECTORY";
const SEED: &str = "KEYWRIGHT_DURABILITY_SEED";

/// Not a test by itself: the process that the test below kills. It creates and revokes keys as fast as it can, and
/// prints each id when it is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by killed_processes_lose_nothing_acknowledged"]
#[expect(clippy::disallowed_methods, reason = "the way to tell a child of this test binary what to do")]
async fn writing_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let store = Arc::new(
        SqliteStore::open(Path::new(&directory), &Options::default(), keywright_testkit::vault()).unwrap(),
    );
    let workspace = store.workspaces(None, 1).await.unwrap().items.remove(0).id;
    let samples = Arc::new(Samples::new(seed));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (store, samples) = (Arc::clone(&store), Arc::clone(&samples));
            tokio::spawn(async move {
                let permit = Samples::keys_permit(workspace);
                for _ in 0..u64::MAX {
                    let new = samples.new_key("acknowledged");
                    let key = new.id;
                    let command = Command::CreateKey(Box::new(new));
                    store.execute(samples.context(permit), command).await.unwrap();
                    acknowledge(&format!("created {key}"));
                    let change = KeyChange::Revoke { reason: None };
                    store.execute(samples.context(permit), Command::ChangeKey { key, change }).await.unwrap();
                    acknowledge(&format!("revoked {key}"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn acknowledge(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").unwrap();
    output.flush().unwrap();
}

#[tokio::test]
async fn killed_processes_lose_nothing_acknowledged() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(
        SqliteStore::open(directory.path(), &Options::default(), keywright_testkit::vault()).unwrap(),
    );
    Installation::set_up(Arc::clone(&store)).await;
    drop(store);
    let (mut created, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..20 {
        for line in write_and_kill(directory.path(), round) {
            match line.split_once(' ') {
                Some(("created", id)) => created.insert(KeyId::parse(id).unwrap()),
                Some(("revoked", id)) => revoked.insert(KeyId::parse(id).unwrap()),
                _ => continue,
            };
        }
        check(directory.path(), &created, &revoked).await;
    }
    assert!(revoked.len() > 100, "only {} revocations were acknowledged", revoked.len());
}

/// The lines that a writing process printed before it was killed.
fn write_and_kill(directory: &Path, round: u64) -> Vec<String> {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::writing_process", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(SEED, (1_000 + round).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut seen: Vec<String> = lines.by_ref().take(20).collect();
    assert!(seen.iter().any(|line| line.starts_with("created ")), "{seen:?}");
    std::thread::sleep(Duration::from_millis(5 + round * 7 % 40));
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut off in the middle of an id.
    seen.extend(lines.filter(|line| line.len() == "created ".len() + "key_".len() + 26));
    seen.retain(|line| line.len() == "created ".len() + "key_".len() + 26);
    seen
}

async fn check(directory: &Path, created: &BTreeSet<KeyId>, revoked: &BTreeSet<KeyId>) {
    let store = SqliteStore::open(directory, &Options::default(), keywright_testkit::vault()).unwrap();
    let state = Arc::new(Mutex::new(VerificationState::default()));
    let fold = Arc::clone(&state);
    let sequence = store.load(Box::new(move |change| fold.lock().apply(change))).await.unwrap();
    let state = state.lock().clone();
    let ids = |keep: &dyn Fn(&KeyView) -> bool| -> BTreeSet<KeyId> {
        state.keys.values().filter(|key| keep(key)).map(|key| key.id).collect()
    };
    assert!(created.is_subset(&ids(&|_| true)), "an acknowledged key is gone");
    assert!(revoked.is_subset(&ids(&|key| key.revoked)), "an acknowledged revocation is gone");
    let changes = store.changes_after(0, u32::MAX).await.unwrap();
    assert!((1..).zip(&changes).all(|(expected, change)| change.sequence == expected));
    assert_eq!(changes.len(), usize::try_from(sequence).unwrap());
    let mut verifier = ChainVerifier::default();
    for entry in store.audit_after(0, u32::MAX).await.unwrap() {
        let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
        assert!(body.at > Timestamp::from_unix_ms(0));
        verifier.push(&entry, &body.personal).unwrap();
    }
    assert_eq!(verifier.last(), store.audit_head().await.unwrap().0);
}
