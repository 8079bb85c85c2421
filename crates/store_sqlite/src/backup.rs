//! Online backup and integrity check.

use std::{path::Path, time::Duration};

use keywright_domain::store::StoreError;
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use crate::fault::{self, Fault};

/// Pages copied before progress is told, 4 MiB.
const PAGES_PER_STEP: i32 = 1_024;
/// Pause when the database is locked.
const PAUSE: Duration = Duration::from_millis(20);
/// Most pauses without progress, 30 seconds.
const PAUSES_MAX: u32 = 1_500;

/// Copies the database as it is now into the new file at `target`, while it goes on being used.
pub(crate) fn copy(
    source: &Connection,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Fault> {
    if target.exists() {
        let text = format!("{} exists already; a backup never overwrites a file", target.display());
        return Err(StoreError::Unavailable(text).into());
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(target, flags)?;
    // The transaction holds the source still: otherwise each write would begin the copy anew.
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let backup = Backup::new(source, &mut copy)?;
    let mut pauses = 0;
    loop {
        let step = backup.step(PAGES_PER_STEP)?;
        let state = backup.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or(0);
        progress(pages(state.pagecount - state.remaining), pages(state.pagecount));
        match step {
            StepResult::Done => break,
            StepResult::More => pauses = 0,
            _ if pauses >= PAUSES_MAX => {
                return Err(StoreError::Unavailable(
                    "the database stayed locked during the backup".to_owned(),
                )
                .into());
            }
            _ => {
                pauses += 1;
                std::thread::sleep(PAUSE);
            }
        }
    }
    drop(backup);
    // A copy by itself, without a log beside it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Looks for damage in the whole database file.
pub(crate) fn quick_check(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare("PRAGMA quick_check(10)")?;
    let findings = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>();
    match findings {
        Ok(findings) if findings == ["ok"] => Ok(()),
        Ok(findings) => Err(Fault::Damaged(findings.join("; "))),
        Err(error) => Err(fault::store_error(&error).into()),
    }
}
