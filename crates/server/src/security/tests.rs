use std::{fs, path::PathBuf};

use keywright_domain::{
    audit::{PersonalData, StoredEntry},
    command::{Command, Context},
    key::KeyChange,
    permit::Action,
    store::Store,
};
use keywright_store_sqlite::SqliteStore;
use keywright_testkit::{Installation, Samples, SeededEntropy};
use serde_json::Value;
use tempfile::TempDir;

use super::*;

struct Log {
    directory: TempDir,
    events: Arc<SecurityEvents>,
}

impl Log {
    /// A file in a directory `logs`, which is not there yet.
    fn to_file(directory: TempDir, more: &str) -> Self {
        let path = directory.path().join("logs/security.log");
        let text = format!(
            "refused_per_minute = 5\n{more}\n[[sinks]]\nname = \"file\"\ntype = \"file\"\npath = \"{}\"\n",
            path.display()
        );
        let settings: SecuritySettings = toml::from_str(&text).unwrap();
        let events = SecurityEvents::open(&settings, directory.path()).unwrap().unwrap();
        Self { directory, events }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("logs/security.log")
    }

    fn outlet(&self) -> &Outlet {
        &self.events.outlets()[0]
    }

    async fn run(&self, store: &SqliteStore) -> anyhow::Result<Progress> {
        self.outlet().run(store).await
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn sequences(&self) -> Vec<u64> {
        self.lines().iter().filter_map(|line| line["sequence"].as_u64()).collect()
    }
}

async fn installation() -> (Arc<SqliteStore>, Installation<SqliteStore>) {
    let store = Arc::new(SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    (store, installation)
}

async fn trail(store: &SqliteStore) -> Vec<StoredEntry> {
    store.audit_after(0, 1_000).await.unwrap()
}

#[tokio::test]
async fn a_sink_that_was_down_misses_nothing_and_repeats_nothing() {
    let (store, installation) = installation().await;
    let log = Log::to_file(tempfile::tempdir().unwrap(), "");
    installation.create_key("first").await;
    let before = trail(&store).await.len() as u64;
    assert!(log.run(&store).await.is_err(), "its directory is not there");
    let stats = log.outlet().stats();
    let load = |number: &std::sync::atomic::AtomicU64| number.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((load(&stats.lag), load(&stats.failures), load(&stats.written)), (before, 1, 0));
    installation.create_key("second").await;
    fs::create_dir(log.directory.path().join("logs")).unwrap();
    log.run(&store).await.unwrap();
    let after = trail(&store).await.len() as u64;
    assert_eq!(log.sequences(), (1..=after).collect::<Vec<_>>());
    assert_eq!(load(&stats.lag), 0);
    assert_eq!(log.run(&store).await.unwrap(), Progress::Done);
    assert_eq!(log.lines().len() as u64, after);
    // Another process goes on where this one was.
    let again = Log::to_file(log.directory, "");
    installation.create_key("third").await;
    again.run(&store).await.unwrap();
    assert_eq!(again.sequences(), (1..=after + 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_happened_to_a_key_is_told_with_the_documents_fields() {
    let (store, installation) = installation().await;
    let log = Log::to_file(tempfile::tempdir().unwrap(), "");
    fs::create_dir(log.directory.path().join("logs")).unwrap();
    let key = installation.create_key("web").await;
    let permit = Samples::permit(Action::WriteKeys, Some(installation.workspace.id));
    let personal = PersonalData {
        salt: [1; 16],
        address: Some([198, 51, 100, 9].into()),
        user_agent: Some("curl/8".to_owned()),
    };
    let context = Context { personal, ..installation.samples.context(permit) };
    let command =
        Command::ChangeKey { key: key.id, change: KeyChange::Revoke { reason: Some("leaked".to_owned()) } };
    store.execute(context, command).await.unwrap();
    log.run(&store).await.unwrap();
    let lines = log.lines();
    let revoked = lines.last().unwrap();
    assert_eq!(revoked["action"], "key.revoked");
    assert_eq!(revoked["target"]["id"], key.id.to_string());
    assert_eq!((&revoked["success"], &revoked["ip"]), (&Value::Bool(true), &Value::from("198.51.100.9")));
    assert_eq!(revoked["reason"], "leaked");
    assert!(!fs::read_to_string(log.path()).unwrap().contains("curl/8"), "no user agent");
    let quiet = Log::to_file(tempfile::tempdir().unwrap(), "addresses = false");
    fs::create_dir(quiet.directory.path().join("logs")).unwrap();
    quiet.run(&store).await.unwrap();
    assert_eq!(quiet.lines().last().unwrap()["ip"], Value::Null);
}

#[tokio::test]
async fn a_new_sink_may_begin_now() {
    let (store, installation) = installation().await;
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("logs")).unwrap();
    let path = directory.path().join("logs/security.log");
    let text = format!(
        "[[sinks]]\nname = \"file\"\ntype = \"file\"\nstart = \"now\"\npath = \"{}\"\n",
        path.display()
    );
    let settings: SecuritySettings = toml::from_str(&text).unwrap();
    let events = SecurityEvents::open(&settings, directory.path()).unwrap().unwrap();
    let log = Log { directory, events };
    log.run(&store).await.unwrap();
    assert!(log.lines().is_empty());
    installation.create_key("web").await;
    log.run(&store).await.unwrap();
    assert_eq!(log.lines().len(), 1);
}

#[tokio::test]
async fn another_history_is_told_again() {
    let (store, installation) = installation().await;
    let log = Log::to_file(tempfile::tempdir().unwrap(), "");
    fs::create_dir(log.directory.path().join("logs")).unwrap();
    installation.create_key("web").await;
    log.run(&store).await.unwrap();
    let told = log.lines().len();
    // A database that was put back: as long, and longer, than the one before.
    let (other, installation) = self::installation().await;
    for name in ["a", "b"] {
        installation.create_key(name).await;
    }
    let count = trail(&other).await.len();
    while log.run(&other).await.unwrap() == Progress::More {}
    assert_eq!(log.lines().len(), told + count);
    let (third, _) = self::installation().await;
    while log.run(&third).await.unwrap() == Progress::More {}
    assert_eq!(log.lines().len(), told + count + trail(&third).await.len(), "shorter");
}

#[tokio::test]
async fn refused_calls_are_told_and_wait() {
    let (store, _installation) = installation().await;
    let log = Log::to_file(tempfile::tempdir().unwrap(), "");
    let entropy = SeededEntropy::new(1);
    let now = Samples::NOW;
    let counts = |unknown: u64| move |code| if code == Code::InvalidKey { unknown } else { 0 };
    log.events.note_unknown(counts(0), now, &entropy);
    log.events.note_unknown(counts(4), now, &entropy);
    log.events.note_unknown(counts(5), now, &entropy);
    log.events.note_blocked(&[[192, 0, 2, 1].into()], now, &entropy);
    let failure = SignInFailure { at: now, user: None, address: Some([192, 0, 2, 2].into()) };
    log.events.note_sign_ins(&[failure], &entropy);
    assert!(log.run(&store).await.is_err(), "no directory yet");
    fs::create_dir(log.directory.path().join("logs")).unwrap();
    log.run(&store).await.unwrap();
    let lines = log.lines();
    assert_eq!(
        (&lines[0]["action"], &lines[0]["counts"]["invalid_key"]),
        (&Value::from("credentials.refused"), &Value::from(5))
    );
    assert_eq!(lines[0]["success"], false);
    assert_eq!(
        (&lines[1]["action"], &lines[1]["ip"]),
        (&Value::from("credentials.address_blocked"), &Value::from("192.0.2.1"))
    );
    assert_eq!(
        (&lines[2]["action"], &lines[2]["success"]),
        (&Value::from("sign_in.failed"), &Value::Bool(false))
    );
    assert_eq!(lines[3]["sequence"], 1, "then the trail");
}
