//! Migrations: numbered, embedded, and never changed once released.

use std::fmt::Write as _;

use keywright_domain::{permission::Catalogue, plan::Plan};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::{fault::Fault, open::OpenError, rows::installation, sealing, sql, transfer};

/// What `PRAGMA application_id` says of a Keywright database: "KWRT".
pub(crate) const APPLICATION_ID: i32 = 0x4b57_5254;

/// One step of the schema.
struct Migration {
    name: &'static str,
    sql: &'static str,
    /// SHA-256 of `sql`: whoever changes a released migration meets a failing test and, if that is ignored, a
    /// database that refuses to open.
    sha256: &'static str,
}

/// All steps. A new one is appended; none is ever changed.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_init",
        sql: include_str!("../migrations/0001_init.sql"),
        sha256: "2bdbfae2d1833c3a4fa46f2f98a43aa2500ad82dc13d9fe4194fab0cf80e4361",
    },
    Migration {
        name: "0002_sealing",
        sql: include_str!("../migrations/0002_sealing.sql"),
        sha256: "c14c202ac94536801cfc47e6bd8bb81cfc0ef6e3a1ca1f345d5a948da946a983",
    },
    Migration {
        name: "0003_erasure",
        sql: include_str!("../migrations/0003_erasure.sql"),
        sha256: "16a7c1eba053ef400f57f90b457e1427c094c91d59bfad8cef7de4c1e98741ef",
    },
    Migration {
        name: "0004_members",
        sql: include_str!("../migrations/0004_members.sql"),
        sha256: "4d167d65ebd8971cdf43766e025ad54f272c7001f14a7b8d28276d193446010d",
    },
    Migration {
        name: "0005_workspace_life",
        sql: include_str!("../migrations/0005_workspace_life.sql"),
        sha256: "97da99650b43f2ed4bab9d426fbbe3bdde9534697d6f4edb0aca1fbf0637b8ba",
    },
    Migration {
        name: "0006_credits",
        sql: include_str!("../migrations/0006_credits.sql"),
        sha256: "25ea050be3059d9051013b47c0d8fcb5dd3fb59c34978d05324c4bd05522dcf4",
    },
    Migration {
        name: "0007_prompts",
        sql: include_str!("../migrations/0007_prompts.sql"),
        sha256: "6f1b112ea6ca60d9684dbdd0b61206bb8823d3dd0f4a69daf0a7ee911b580722",
    },
    Migration {
        name: "0008_accounts",
        sql: include_str!("../migrations/0008_accounts.sql"),
        sha256: "df1edfa4741960d8bf18b6059e6e439b2274727b461a548fca31134f36676336",
    },
    Migration {
        name: "0009_invitations",
        sql: include_str!("../migrations/0009_invitations.sql"),
        sha256: "0db2f21735ae38d7a6ce5af3e77c0a0e8b3f9df0b703d3b2689d1d3c9d739736",
    },
    Migration {
        name: "0010_identities",
        sql: include_str!("../migrations/0010_identities.sql"),
        sha256: "f259cdfd9a3434f37034192ba2f4fed2f95a52372da1c23e25b10d0e05971507",
    },
    Migration {
        name: "0011_privacy",
        sql: include_str!("../migrations/0011_privacy.sql"),
        sha256: "d0b3a36143a51b45b1baf981a252efc89c5538e8bb706ba2c9a46e05e0995d8d",
    },
];

/// The schema's version after all migrations.
pub(crate) const VERSION: usize = MIGRATIONS.len();

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY NOT NULL,
    name   TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT";

/// Refuses a database of another program, of a newer Keywright, or one that must not be served: not yet, because a
/// transfer into it is not finished, or not any more, because it was moved. Returns how many migrations it has.
pub(crate) fn check_version(connection: &Connection) -> Result<usize, OpenError> {
    let version = schema_version(connection)?;
    transfer::refuse_marked(connection)?;
    Ok(version)
}

/// Refuses a database of another program, or of a newer Keywright. Returns how many migrations it has.
pub(crate) fn schema_version(connection: &Connection) -> Result<usize, OpenError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = number("application_id")?;
    let version = usize::try_from(number("user_version")?).unwrap_or(usize::MAX);
    let objects: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if objects == 0 && application == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(OpenError::NotKeywright { application_id: application });
    }
    if version > VERSION {
        return Err(OpenError::Newer { found: version, known: VERSION });
    }
    check_hashes(connection, version)?;
    Ok(version)
}

fn check_hashes(connection: &Connection, version: usize) -> Result<(), OpenError> {
    let mut statement = connection.prepare("SELECT name, sha256 FROM migrations ORDER BY number")?;
    let applied = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    if applied.len() != version {
        return Err(OpenError::Damaged(format!(
            "{version} migrations should be recorded, {} are",
            applied.len()
        )));
    }
    for ((name, sha256), migration) in applied.into_iter().zip(MIGRATIONS) {
        if name != migration.name || sha256 != migration.sha256 {
            return Err(OpenError::MigrationChanged(name));
        }
    }
    Ok(())
}

/// Brings the schema up to date, and adds the built-in plans and permissions that are not there yet.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let done = check_version(connection)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(CREATE_TABLE)?;
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migrations (number, name, sha256) VALUES (?1, ?2, ?3)",
            params![number + 1, migration.name, hex_sha256(migration.sql)],
        )?;
    }
    seed(&transaction).map_err(|fault| OpenError::from(fault.into_store_error()))?;
    sealing::drop_if_empty(&transaction)?;
    if done < VERSION {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

fn seed(connection: &Connection) -> Result<(), Fault> {
    for plan in Plan::builtin() {
        installation::put_plan(connection, sql::installation::SEED_PLAN, &plan)?;
    }
    for entry in Catalogue::builtin().entries() {
        installation::put_permission(connection, sql::installation::SEED_PERMISSION, entry)?;
    }
    Ok(())
}

fn hex_sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_migrations_never_change() {
        for migration in MIGRATIONS {
            assert_eq!(
                hex_sha256(migration.sql),
                migration.sha256,
                "{} was changed: append a new migration instead",
                migration.name
            );
        }
    }

    #[test]
    fn a_database_with_another_migration_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.execute("UPDATE migrations SET sha256 = 'x'", []).unwrap();
        assert!(
            matches!(migrate(&mut connection), Err(OpenError::MigrationChanged(name)) if name == "0001_init")
        );
    }

    #[test]
    fn a_newer_or_foreign_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
        let newer = migrate(&mut connection).unwrap_err();
        assert!(matches!(newer, OpenError::Newer { .. }), "{newer}");
        connection.pragma_update(None, "application_id", 7).unwrap();
        let foreign = migrate(&mut connection).unwrap_err();
        assert!(matches!(foreign, OpenError::NotKeywright { application_id: 7 }), "{foreign}");
    }

    #[test]
    fn permissions_that_were_added_later_are_seeded() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.execute("DELETE FROM permissions WHERE bit > 3", []).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(installation::catalogue(&connection).unwrap(), Catalogue::builtin());
    }

    /// A database as the first version of the schema had it.
    fn first_version() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let first = &MIGRATIONS[0];
        connection.execute_batch(CREATE_TABLE).unwrap();
        connection.execute_batch(first.sql).unwrap();
        let row = "INSERT INTO migrations (number, name, sha256) VALUES (1, ?1, ?2)";
        connection.execute(row, [first.name, first.sha256]).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection
    }

    #[test]
    fn personal_data_of_the_first_version_is_set_aside_for_sealing() {
        let mut connection = first_version();
        connection
            .execute_batch(
                "INSERT INTO users VALUES (x'01', 'a@example.com', 'Anna', NULL, 5);
                 INSERT INTO audit_personal VALUES (1, x'02', x'7f000001', 'curl')",
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let one = |statement| connection.query_row(statement, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(one("SELECT email || name FROM unsealed_users"), "a@example.comAnna");
        assert_eq!(one("SELECT user_agent FROM unsealed_audit_personal"), "curl");
        assert!(sealing::is_unsealed(&connection).unwrap());
        let mut empty = first_version();
        migrate(&mut empty).unwrap();
        assert!(!sealing::is_unsealed(&empty).unwrap());
    }
}
