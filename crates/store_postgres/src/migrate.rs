//! Migrations: numbered, embedded, and never changed once released.

use std::fmt::Write as _;

use keywright_domain::{
    permission::Catalogue,
    plan::Plan as ServicePlan,
    transfer::{MOVED_TABLE, UNFINISHED_TABLE},
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    connect::{ConnectError, Connected, Plan, connect},
    fault::Fault,
    params,
    rows::{installation, text},
    sealing, sql,
};

/// One step of the schema.
struct Migration {
    name: &'static str,
    sql: &'static str,
    /// SHA-256 of `sql`: whoever changes a released migration meets a failing test and, if that is ignored, a
    /// database that is refused.
    sha256: &'static str,
}

/// All steps. A new one is appended; none is ever changed. The program before must be able to work with the tables
/// that it leaves: nodes are replaced one by one.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_init",
        sql: include_str!("../migrations/0001_init.sql"),
        sha256: "3f814f017f8b0d8e3cc76f8e07c47ad46bcf49f7632f6cb1b73c7e7a3b111442",
    },
    Migration {
        name: "0002_limits",
        sql: include_str!("../migrations/0002_limits.sql"),
        sha256: "17b74c1f348521b4e922bd9c679442f521d837f8e1053f040e2c4523c7439a5f",
    },
    Migration {
        name: "0003_sealing",
        sql: include_str!("../migrations/0003_sealing.sql"),
        sha256: "d3190db43d1e7fd40a04387ae181d56977b79331afb681127a22399f9b3fbdf9",
    },
    Migration {
        name: "0004_erasure",
        sql: include_str!("../migrations/0004_erasure.sql"),
        sha256: "16a7c1eba053ef400f57f90b457e1427c094c91d59bfad8cef7de4c1e98741ef",
    },
    Migration {
        name: "0005_members",
        sql: include_str!("../migrations/0005_members.sql"),
        sha256: "57f41c32e024437d8689d10bc8b6f85e6a6b0fc3b479c135c1d14a4a142a1e67",
    },
    Migration {
        name: "0006_workspace_life",
        sql: include_str!("../migrations/0006_workspace_life.sql"),
        sha256: "6cabe9c9a8883bcf91245cd3e98ad6374fb18474d4e790f529310508842e76f0",
    },
    Migration {
        name: "0007_credits",
        sql: include_str!("../migrations/0007_credits.sql"),
        sha256: "5c8f7c142d608c17091cd63c75c03efc8f896f7a2a39ae43a092564b7a86e16c",
    },
    Migration {
        name: "0008_prompts",
        sql: include_str!("../migrations/0008_prompts.sql"),
        sha256: "ceae2c078525ff2125c080af0a1344fd3ffbd2a75021f423c87e4451e442e25e",
    },
    Migration {
        name: "0009_accounts",
        sql: include_str!("../migrations/0009_accounts.sql"),
        sha256: "2e4b88ecbee6404e8b1c035e8e772541ec4724ef68f0e06bde8bb595410caab5",
    },
    Migration {
        name: "0010_invitations",
        sql: include_str!("../migrations/0010_invitations.sql"),
        sha256: "ff397a7c782869675605568a92fcbf0746c99bcc6a3227e1a8c7a7de91f73b94",
    },
    Migration {
        name: "0011_secret_checks",
        sql: include_str!("../migrations/0011_secret_checks.sql"),
        sha256: "5b8d82ee8b7e676b4ffa1963cd6e587b3339ed29be3b58169a8849394bcf77fb",
    },
    Migration {
        name: "0012_identities",
        sql: include_str!("../migrations/0012_identities.sql"),
        sha256: "4a182804715e02daa102c59755c29cad71c2e0c1404d1e055268f2bcdbdfa89f",
    },
    Migration {
        name: "0013_privacy",
        sql: include_str!("../migrations/0013_privacy.sql"),
        sha256: "a7666caac9acaf6e74adf46c6858ad5b6db4e6c0692fdff21d38ab4ab9bc3e1f",
    },
];

/// The schema's version after all migrations.
const VERSION: usize = MIGRATIONS.len();

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number bigint PRIMARY KEY,
    name   text NOT NULL,
    sha256 text NOT NULL
)";

/// Number of times that the migration's patience exceeds a statement's.
const PATIENCE: u32 = 12;

/// Brings the schema up to date, on a connection of its own. Nodes that start at once do it one after the other.
pub(crate) async fn migrate(plan: &Plan) -> Result<(), ConnectError> {
    let (connected, _driver) = connect(plan).await?;
    let patience = plan.options.statement_timeout * PATIENCE;
    timeout(patience, migrate_on(&connected, &plan.options.schema)).await.map_err(|_| Fault::Silent)?
}

async fn migrate_on(connected: &Connected, schema: &str) -> Result<(), ConnectError> {
    // A transaction that fails is rolled back when its connection ends, which is soon.
    connected
        .batch(
            "BEGIN; SET LOCAL statement_timeout TO 0; SET LOCAL lock_timeout TO 0; \
             SET LOCAL idle_in_transaction_session_timeout TO 0; SET LOCAL synchronous_commit TO on",
        )
        .await?;
    connected.query(sql::migrations::LOCK, params![lock_number(schema)]).await?;
    let done = version(connected, schema).await?;
    for (number, migration) in (1_u64..).zip(MIGRATIONS).skip(done) {
        connected.batch(migration.sql).await?;
        let values = params![number, migration.name, hex_sha256(migration.sql)];
        connected.execute(sql::migrations::INSERT, values).await?;
    }
    seed(connected).await?;
    sealing::drop_if_empty(connected, schema).await?;
    let warnings = connected.warnings();
    connected.batch("COMMIT").await?;
    if connected.warnings() != warnings {
        let text = connected.last_warning();
        return Err(ConnectError::Store(keywright_domain::store::StoreError::CommitUnknown(text)));
    }
    Ok(())
}

/// How many migrations the schema has; refuses those of another program or of a newer Keywright.
async fn version(connected: &Connected, schema: &str) -> Result<usize, ConnectError> {
    let exists = connected.first(sql::migrations::SCHEMA, params![schema]).await?.is_some();
    if !exists {
        // The name was checked to need no quotes.
        connected.batch(&format!("CREATE SCHEMA {schema}")).await?;
    }
    let tables = connected.query(sql::migrations::TABLES, params![schema]).await?;
    let tables: Vec<&str> = tables.iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?;
    refuse_marked(&tables)?;
    let is_own = tables.contains(&"migrations") && tables.contains(&"head");
    if !tables.is_empty() && !is_own {
        return Err(ConnectError::NotKeywright(schema.to_owned()));
    }
    connected.batch(CREATE_TABLE).await?;
    applied(connected).await
}

/// How many migrations were applied; refuses those of a newer Keywright.
async fn applied(connected: &Connected) -> Result<usize, ConnectError> {
    let applied = connected.query(sql::migrations::APPLIED, params![]).await?;
    if applied.len() > VERSION {
        return Err(ConnectError::Newer { found: applied.len(), known: VERSION });
    }
    for (row, migration) in applied.iter().zip(MIGRATIONS) {
        let name = text(row, 0)?;
        if name != migration.name || text(row, 1)? != migration.sha256 {
            return Err(ConnectError::MigrationChanged(name.to_owned()));
        }
    }
    Ok(applied.len())
}

/// Refuses a schema that must not be served: not yet, because a transfer into it is not finished, or not any more, because
/// its installation was moved.
fn refuse_marked(tables: &[&str]) -> Result<(), ConnectError> {
    if tables.contains(&UNFINISHED_TABLE) {
        return Err(ConnectError::UnfinishedTransfer);
    }
    if tables.contains(&MOVED_TABLE) { Err(ConnectError::MovedAway) } else { Ok(()) }
}

/// Refuses a schema that is not exactly this program's. Changes nothing.
pub(crate) async fn check_current(connected: &Connected, schema: &str) -> Result<(), ConnectError> {
    let tables = connected.query(sql::migrations::TABLES, params![schema]).await?;
    let tables: Vec<&str> = tables.iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?;
    if tables.is_empty() {
        return Err(ConnectError::Missing(schema.to_owned()));
    }
    if !tables.contains(&"migrations") || !tables.contains(&"audit") {
        return Err(ConnectError::NotKeywright(schema.to_owned()));
    }
    match applied(connected).await? {
        VERSION => Ok(()),
        found => Err(ConnectError::Older { found, known: VERSION }),
    }
}

/// Adds the built-in plans and permissions that are not there yet.
async fn seed(connected: &Connected) -> Result<(), Fault> {
    for plan in ServicePlan::builtin() {
        connected.execute(sql::installation::SEED_PLAN, installation::plan_params(&plan)).await?;
    }
    for entry in Catalogue::builtin().entries() {
        let values = installation::permission_params(entry);
        connected.execute(sql::installation::SEED_PERMISSION, values).await?;
    }
    Ok(())
}

/// Which advisory lock stands for the migration of a schema.
fn lock_number(schema: &str) -> i64 {
    advisory_lock("migrations of", schema)
}

/// The number of the advisory lock for this purpose and schema.
pub(crate) fn advisory_lock(purpose: &str, schema: &str) -> i64 {
    let digest = Sha256::digest(format!("keywright {purpose} {schema}"));
    i64::from_be_bytes(digest[..8].try_into().expect("eight bytes"))
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
}
