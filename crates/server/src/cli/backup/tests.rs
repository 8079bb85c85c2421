use std::{
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use keywright_domain::{
    audit::PersonalData,
    command::{Command, Context},
    ids::AuditId,
    permit::{Action, Actor, authorize},
    plan::Plan,
    store::Store as _,
    time::Clock as _,
};
use keywright_store_sqlite::{Options, SqliteStore};

use super::{
    super::console::{Dialogue, captured::console},
    *,
};
use crate::{cli::audit, system::SystemEntropy};

fn context() -> Context {
    let now = SystemClock.now();
    Context {
        now,
        permit: authorize(Actor::System, Action::Operate, None).unwrap(),
        audit_id: AuditId::generate(now, &SystemEntropy),
        request_id: None,
        personal: PersonalData { salt: [0; 16], address: None, user_agent: None },
        idempotency: None,
    }
}

async fn put_plan(store: &SqliteStore, limit: u64) {
    let mut plan = Plan::builtin().into_iter().next().unwrap();
    plan.name = "gold".to_owned();
    plan.key_limits[0].limit = limit;
    store.execute(context(), Command::PutPlan(plan)).await.unwrap();
}

fn backup(data: &Path, to: &Path, include_keys: bool) -> (Result<(), Failure>, String) {
    let (console, out, err) = console(b"", Dialogue::Impossible);
    let command = Backup { data: data.to_owned(), to: to.to_owned(), include_keys, json: false };
    (command.run(console), out.text() + &err.text())
}

fn restore(from: &Path, data: &Path) -> (Result<(), Failure>, String) {
    let (console, out, err) = console(b"", Dialogue::Impossible);
    let command = Restore::new(from.to_owned(), data.to_owned());
    (command.run(console), out.text() + &err.text())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_taken_under_writes_restores_to_one_moment() {
    let parent = tempfile::tempdir().unwrap();
    let (data, to, new) = (parent.path().join("data"), parent.path().join("b.db"), parent.path().join("new"));
    let store = SqliteStore::open(&data, &Options::default(), keywright_testkit::vault()).unwrap();
    fs::write(data.join("peppers.toml"), "secret pepper").unwrap();
    fs::write(data.join("pepper-check.toml"), "check").unwrap();
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let (before, after) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            while !stop.load(Ordering::Relaxed) {
                runtime.block_on(put_plan(&store, 1 + written.load(Ordering::Relaxed)));
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        while written.load(Ordering::Relaxed) < 20 {
            std::thread::yield_now();
        }
        let before = written.load(Ordering::Relaxed);
        let (outcome, said) = backup(&data, &to, false);
        let after = written.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
        assert!(said.contains("peppers.toml") && !said.contains("secret pepper"), "{said}");
        (before, after)
    });
    assert!(!beside(&to, KEYS_SUFFIX).exists());
    assert_eq!(mode(&to), 0o600);

    let (outcome, said) = restore(&to, &new);
    outcome.unwrap();
    assert!(said.contains("next: put your copies") && said.contains("revoked"), "{said}");
    assert_eq!((mode(&new), mode(&new.join(DATABASE_FILE))), (0o700, 0o600));
    assert_eq!(fs::read_to_string(new.join("pepper-check.toml")).unwrap(), "check");
    let restored = Offline::open(&new).unwrap();
    let (sequence, _) = restored.ask(restored.store().audit_head()).unwrap();
    assert!(sequence >= before && sequence <= after + 2, "{before} <= {sequence} <= {after}");
    let (console, ..) = console(b"", Dialogue::Impossible);
    assert_eq!(audit::verify_stored(&restored, &console).unwrap(), sequence);
    drop(restored);
    // It can be served and written.
    let store = SqliteStore::open(&new, &Options::default(), keywright_testkit::vault()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(put_plan(&store, 7));
}

#[test]
fn keys_come_along_only_when_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let (data, to, new) = (parent.path().join("data"), parent.path().join("b.db"), parent.path().join("new"));
    drop(SqliteStore::open(&data, &Options::default(), keywright_testkit::vault()).unwrap());
    let (outcome, _) = backup(&data, &to, true);
    assert!(outcome.unwrap_err().to_string().contains("no peppers"));
    fs::write(data.join("peppers.toml"), "pepper").unwrap();
    fs::write(data.join("audit-signing-key"), "key").unwrap();
    backup(&data, &to, true).0.unwrap();
    assert_eq!(mode(&beside(&to, KEYS_SUFFIX)), 0o600);
    fs::create_dir(&new).unwrap();
    let (outcome, said) = restore(&to, &new);
    outcome.unwrap();
    assert!(!said.contains("next:"), "{said}");
    assert_eq!(fs::read_to_string(new.join("peppers.toml")).unwrap(), "pepper");
    assert_eq!(mode(&new.join("audit-signing-key")), 0o600);
}

#[test]
fn nothing_is_overwritten_and_nothing_damaged_is_restored() {
    let parent = tempfile::tempdir().unwrap();
    let (data, to, new) = (parent.path().join("data"), parent.path().join("b.db"), parent.path().join("new"));
    drop(SqliteStore::open(&data, &Options::default(), keywright_testkit::vault()).unwrap());
    backup(&data, &to, false).0.unwrap();
    assert!(backup(&data, &to, false).0.unwrap_err().to_string().contains("exists already"));
    assert!(restore(&to, &data).0.unwrap_err().to_string().contains("not empty"));

    let mut bytes = fs::read(&to).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&to, &bytes).unwrap();
    let failure = restore(&to, &new).0.unwrap_err();
    assert_eq!(failure.exit(), Exit::Found);
    assert!(failure.to_string().contains("SHA-256"), "{failure}");
    fs::remove_file(beside(&to, MANIFEST_SUFFIX)).unwrap();
    assert!(restore(&to, &new).0.unwrap_err().to_string().contains("manifest"));
    assert!(!new.exists());
    let left: Vec<_> = fs::read_dir(parent.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("unfinished"))
        .collect();
    assert!(left.is_empty());
    assert!(backup(&new, &to, false).0.is_err(), "no database there");
}
