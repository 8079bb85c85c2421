//! Personal data in the files: sealed, also what an older program wrote, and only for the right key-encryption key.

use std::{fs, path::Path, sync::Arc};

use keywright_domain::{
    command::{Command, Outcome},
    permission::Role,
    privacy::{PrivacyCommand, PrivacyOutcome, PrivacyStore as _, Who},
    store::Store as _,
    vault::VaultError,
};
use keywright_store_sqlite::{DATABASE_FILE, OpenError, Options, SqliteSource, SqliteStore};
use keywright_testkit::{Installation, Person, Samples, vault_of, vault_with};
use rusqlite::{Connection, params};
use tempfile::TempDir;

const EMAIL: &str = "zerlinda.quatsch@example.com";
const NAME: &str = "Zerlinda Quatsch";
const AGENT: &str = "keywright-testkit/1";

fn open(directory: &Path, versions: &[u16]) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(directory, &Options::default(), vault_with(versions))
}

/// Whether one of the files has the text.
fn has(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|file| {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        bytes.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
    })
}

async fn with_a_person(directory: &Path) {
    let store = Arc::new(open(directory, &[1]).unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let mut user = installation.samples.user();
    EMAIL.clone_into(&mut user.email);
    NAME.clone_into(&mut user.name);
    let workspace = installation.workspace.id;
    let command = Command::CreateMember { user, workspace, role: Role::Member };
    installation.operate(command).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn no_byte_of_a_person_is_in_the_files() {
    let directory = TempDir::new().unwrap();
    with_a_person(directory.path()).await;
    for text in [EMAIL, NAME, "Quatsch", AGENT] {
        assert!(!has(directory.path(), text), "{text}");
    }
    // The search finds what is there.
    assert!(has(directory.path(), "member.created"));
}

#[tokio::test]
async fn only_the_right_key_opens_it() {
    let directory = TempDir::new().unwrap();
    with_a_person(directory.path()).await;
    let kept = fs::read(directory.path().join(DATABASE_FILE)).unwrap();
    let error = open(directory.path(), &[2]).err().unwrap();
    assert!(matches!(error, OpenError::Vault(VaultError::MissingKek(1))), "{error}");
    // Another key under the same version.
    let wrong = vault_of(1, [9; 32]);
    let error = SqliteStore::open(directory.path(), &Options::default(), wrong).err().unwrap();
    assert!(matches!(error, OpenError::Vault(VaultError::WrongKek(1))), "{error}");
    assert_eq!(fs::read(directory.path().join(DATABASE_FILE)).unwrap(), kept, "nothing was changed");
    let store = open(directory.path(), &[1]).unwrap();
    assert!(store.person(Who::Email(EMAIL.to_owned())).await.unwrap().is_some());
}

#[tokio::test]
async fn after_a_rotation_the_older_key_is_not_needed_any_more() {
    let directory = TempDir::new().unwrap();
    with_a_person(directory.path()).await;
    let store = Arc::new(open(directory.path(), &[1, 2]).unwrap());
    let samples = Samples::new(5);
    let rewrap = async |limit| {
        let context = samples.context(Samples::operator_permit());
        let command = Command::Privacy(PrivacyCommand::Rewrap { limit });
        match store.execute(context, command).await.unwrap().outcome {
            Outcome::Privacy(PrivacyOutcome::Rewrapped(count)) => count,
            other => panic!("another outcome: {other:?}"),
        }
    };
    // The look-up key, two people, a day.
    assert_eq!(rewrap(3).await, 3);
    store.close().await.unwrap();
    let error = open(directory.path(), &[2]).err().unwrap();
    assert!(matches!(error, OpenError::Vault(VaultError::MissingKek(1))), "{error}");
    drop(store);
    let store = Arc::new(open(directory.path(), &[1, 2]).unwrap());
    let context = samples.context(Samples::operator_permit());
    let command = Command::Privacy(PrivacyCommand::Rewrap { limit: 10 });
    let outcome = store.execute(context, command).await.unwrap().outcome;
    assert!(matches!(outcome, Outcome::Privacy(PrivacyOutcome::Rewrapped(1))), "{outcome:?}");
    store.close().await.unwrap();
    drop(store);
    let store = open(directory.path(), &[2]).unwrap();
    let person = store.person(Who::Email(EMAIL.to_owned())).await.unwrap().unwrap();
    assert_eq!(person.name, NAME);
    assert!(store.audit_after(0, 100).await.unwrap().iter().all(|entry| entry.personal.is_some()));
}

/// A database as the program before sealing left it.
async fn unsealed(directory: &Path) {
    // Entries and people of today, put back into the columns of then.
    with_a_person(directory).await;
    let store = open(directory, &[1]).unwrap();
    let entries = store.audit_after(0, 100).await.unwrap();
    let person = store.person(Who::Email(EMAIL.to_owned())).await.unwrap().unwrap();
    store.close().await.unwrap();
    drop(store);
    let connection = Connection::open(directory.join(DATABASE_FILE)).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE unsealed_users (id BLOB PRIMARY KEY NOT NULL, email TEXT NOT NULL, name TEXT NOT NULL) STRICT;
             CREATE TABLE unsealed_audit_personal (sequence INTEGER PRIMARY KEY NOT NULL, salt BLOB NOT NULL,
                 address BLOB, user_agent TEXT) STRICT;
             DELETE FROM data_keys; DELETE FROM audit_personal;
             UPDATE users SET email_index = NULL, sealed = NULL",
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO unsealed_users VALUES (?1, ?2, ?3)",
            params![person.id.to_bytes(), person.email, person.name],
        )
        .unwrap();
    for entry in entries {
        let personal = entry.personal.unwrap();
        connection
            .execute(
                "INSERT INTO unsealed_audit_personal VALUES (?1, ?2, ?3, ?4)",
                params![entry.sequence, personal.salt, [192_u8, 0, 2, 7], personal.user_agent],
            )
            .unwrap();
    }
}

#[tokio::test]
async fn what_an_older_program_wrote_is_sealed_at_the_start() {
    let directory = TempDir::new().unwrap();
    unsealed(directory.path()).await;
    assert!(has(directory.path(), EMAIL) && has(directory.path(), AGENT));
    assert!(matches!(SqliteSource::open(directory.path()).err(), Some(OpenError::Unsealed)));
    let store = open(directory.path(), &[1]).unwrap();
    for text in [EMAIL, NAME, AGENT] {
        assert!(!has(directory.path(), text), "{text}");
    }
    let person = store.person(Who::Email(EMAIL.to_owned())).await.unwrap().unwrap();
    assert_eq!(person.name, NAME);
    let entries = store.audit_after(0, 100).await.unwrap();
    let personal: Vec<_> = entries.into_iter().map(|entry| entry.personal.unwrap()).collect();
    assert!(personal.iter().all(|data| data.user_agent.as_deref() == Some(AGENT)));
    store.close().await.unwrap();
    drop(store);
    SqliteSource::open(directory.path()).unwrap();
}

#[tokio::test]
async fn an_erased_person_leaves_no_byte_behind_not_even_their_key() {
    let (directory, backup) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    with_a_person(directory.path()).await;
    let store = Arc::new(open(directory.path(), &[1]).unwrap());
    let person = store.person(Who::Email(EMAIL.to_owned())).await.unwrap().unwrap();
    let wrapped: Vec<u8> = Connection::open(directory.path().join(DATABASE_FILE))
        .unwrap()
        .query_row("SELECT wrapped FROM data_keys WHERE owner = ?1", [person.id.to_bytes()], |row| row.get(0))
        .unwrap();
    let has_key = |place: &Path| {
        fs::read_dir(place).unwrap().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            bytes.windows(wrapped.len()).any(|part| part == wrapped)
        })
    };
    assert!(has_key(directory.path()), "the search finds what is there");
    store.backup_to(&backup.path().join("before.db"), |_, _| {}).await.unwrap();

    let samples = Samples::new(5);
    let command = Command::Privacy(PrivacyCommand::Erase { user: person.id });
    let context = samples.context(Samples::operator_permit());
    store.execute(context, command).await.unwrap();
    assert!(!has_key(directory.path()), "also not in unused pages, nor in the log beside the database");
    store.backup_to(&backup.path().join("after.db"), |_, _| {}).await.unwrap();
    // In JSON, a quote in the name would be escaped; without quotes both forms are the same.
    for text in [EMAIL, NAME, "Quatsch", "zerlinda", AGENT] {
        assert!(!has(directory.path(), text) && !has(backup.path(), text), "{text}");
    }
    fs::remove_file(backup.path().join("before.db")).unwrap();
    assert!(!has_key(backup.path()), "once backups of before are gone");
}

/// Whether one of the files has these bytes.
fn has_bytes(directory: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|file| {
        let content = fs::read(file.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|part| part == bytes)
    })
}

#[tokio::test]
async fn once_retention_has_passed_nothing_of_an_erased_person_is_left() {
    let (directory, backup) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = Arc::new(open(directory.path(), &[1]).unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let person = Person::live(&installation).await;
    assert!(
        has_bytes(directory.path(), &Person::ADDRESS),
        "the access ledger has it: the search finds what is there"
    );
    person.leave_for_good(&installation).await;
    Person::verify_chain(&store).await;
    store.backup_to(&backup.path().join("after.db"), |_, _| {}).await.unwrap();
    for place in [directory.path(), backup.path()] {
        for text in [Person::EMAIL, Person::NAME, "Quatsch", "zerlinda", Person::AGENT] {
            assert!(!has(place, text), "{text} in {}", place.display());
        }
        assert!(!has_bytes(place, &Person::ADDRESS), "the address in {}", place.display());
        assert!(!has(place, &Person::address().to_string()), "the address as text");
        assert!(has(place, "user.erased"), "the trail tells that somebody was erased");
    }
}
