//! The data directory: its lock, its permissions, and databases that are not ours to open.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use keywright_domain::{
    audit::{AuditBody, ChainVerifier},
    command::{Command, CommandError},
    store::{Store as _, StoreError},
};
use keywright_store_sqlite::{DATABASE_FILE, LOCK_FILE, OpenError, Options, SqliteStore};
use keywright_testkit::Installation;
use parking_lot::Mutex;
use tempfile::TempDir;

fn open(directory: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(directory, &Options::default(), keywright_testkit::vault())
}

fn error_of(result: Result<SqliteStore, OpenError>) -> OpenError {
    match result {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

/// A directory with a set-up installation of `keys` keys, closed again.
async fn with_keys(keys: usize) -> TempDir {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(open(directory.path()).unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    for number in 0..keys {
        installation.create_key(&format!("key {number}")).await;
    }
    store.close().await.unwrap();
    directory
}

#[test]
fn the_directory_is_created_for_its_owner_only() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("a/b");
    let store = open(&directory).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join(DATABASE_FILE)), 0o600);
    assert_eq!(mode(&directory.join(LOCK_FILE)), 0o600);
    drop(store);
}

#[test]
fn a_second_owner_is_told_where_and_who() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    let error = error_of(open(directory.path())).to_string();
    assert!(error.contains(&directory.path().display().to_string()), "{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(store);
    open(directory.path()).unwrap();
}

#[test]
fn a_path_that_is_no_directory_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = error_of(open(file.path())).to_string();
    assert!(error.contains(&file.path().display().to_string()), "{error}");
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let directory = with_keys(3).await;
    let store = Arc::new(open(directory.path()).unwrap());
    let count = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&count);
    let sequence = store.load(Box::new(move |_| *counter.lock() += 1)).await.unwrap();
    // Catalogue, three plans, a workspace, a membership, operators, three keys.
    assert_eq!((sequence, *count.lock()), (6, 10));
    store.quick_check().await.unwrap();
}

#[tokio::test]
async fn the_log_is_folded_into_the_database_when_it_is_closed() {
    let directory = with_keys(3).await;
    let log = directory.path().join(format!("{DATABASE_FILE}-wal"));
    assert_eq!(std::fs::metadata(log).map_or(0, |file| file.len()), 0);
}

#[tokio::test]
async fn another_process_may_read_and_not_write() {
    let directory = with_keys(2).await;
    let owner = Arc::new(open(directory.path()).unwrap());
    let reader = SqliteStore::open_read_only(directory.path(), None).unwrap();
    let mut verifier = ChainVerifier::default();
    for entry in reader.audit_after(0, 100).await.unwrap() {
        let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
        verifier.push(&entry, &body.personal).unwrap();
    }
    assert_eq!(verifier.last(), 5);
    let error = reader.check_writable().await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    owner.check_writable().await.unwrap();
    drop(owner);
    assert_eq!(reader.audit_head().await.unwrap().0, 5);
}

#[tokio::test]
async fn a_directory_without_a_database_cannot_be_read() {
    let directory = TempDir::new().unwrap();
    let error = error_of(SqliteStore::open_read_only(directory.path(), None));
    assert!(matches!(error, OpenError::Store(StoreError::Unavailable(_))), "{error}");
    assert!(!directory.path().join(DATABASE_FILE).exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged() {
    let directory = with_keys(1).await;
    std::fs::write(
        directory.path().join(DATABASE_FILE),
        b"not a database, but long enough to look at".repeat(200),
    )
    .unwrap();
    for error in
        [error_of(open(directory.path())), error_of(SqliteStore::open_read_only(directory.path(), None))]
    {
        assert!(matches!(error, OpenError::Damaged(_)), "{error}");
        assert!(error.to_string().contains("restore"), "{error}");
    }
}

/// Garbage over every page but the first, one page at a time: the store opens or says that it is damaged, and every
/// answer is either right or an error. `quick_check` finds each.
#[tokio::test]
async fn garbage_in_a_page_is_never_an_answer() {
    let directory = with_keys(40).await;
    let file = directory.path().join(DATABASE_FILE);
    let sound = std::fs::read(&file).unwrap();
    let pages = sound.len() / 4_096;
    let (mut found, mut total) = (0, 0);
    for page in 1..pages {
        let mut damaged = sound.clone();
        damaged[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        std::fs::write(&file, &damaged).unwrap();
        total += 1;
        match open(directory.path()) {
            Err(OpenError::Damaged(_)) => found += 1,
            Err(other) => panic!("page {page}: {other}"),
            Ok(store) => found += u32::from(is_noticed(&store).await),
        }
    }
    assert_eq!(found, total, "damage went unnoticed");
}

async fn is_noticed(store: &SqliteStore) -> bool {
    let loaded = store.load(Box::new(drop)).await.map(drop);
    let checked = store.quick_check().await;
    for error in [&loaded, &checked].into_iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    }
    checked.is_err()
}

#[tokio::test]
async fn a_backup_is_a_database_of_its_own() {
    let directory = with_keys(30).await;
    let store = Arc::new(open(directory.path()).unwrap());
    let copy = TempDir::new().unwrap();
    let target = copy.path().join(DATABASE_FILE);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = Arc::clone(&seen);
    store.backup_to(&target, move |done, all| progress.lock().push((done, all))).await.unwrap();
    let last = *seen.lock().last().unwrap();
    assert!(last.0 == last.1 && last.1 > 10, "{last:?}");
    let again = store.backup_to(&target, |_, _| ()).await.unwrap_err();
    assert!(again.to_string().contains("never overwrites"), "{again}");
    let head = store.audit_head().await.unwrap();
    let restored = open(copy.path()).unwrap();
    assert_eq!(restored.audit_head().await.unwrap(), head);
    restored.check_writable().await.unwrap();
    restored.quick_check().await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_instead_of_growing() {
    let directory = TempDir::new().unwrap();
    let mut options = Options::default();
    options.queue_max = 1;
    let store = Arc::new(SqliteStore::open(directory.path(), &options, keywright_testkit::vault()).unwrap());
    let installation = Arc::new(Installation::set_up(store).await);
    let answers = (0..64).map(|_| {
        let installation = Arc::clone(&installation);
        let command = Command::CreateKey(Box::new(installation.samples.new_key("one")));
        tokio::spawn(async move { installation.on_keys(command).await })
    });
    let mut refused = 0;
    for answer in answers.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Ok(_) => {}
            Err(CommandError::Store(StoreError::Unavailable(text))) if text.contains("waiting") => {
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!((1..64).contains(&refused), "{refused} refused");
}
