//! The database as one side of a transfer.
//!
//! Whoever opens a data directory here holds its lock, so that nobody serves it meanwhile.

use std::{
    fs::File,
    path::Path,
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use keywright_domain::{
    store::StoreError,
    time::Timestamp,
    transfer::{
        FINISHED_TABLE, Found, Identity, Kind, MOVED_TABLE, PIECE_BYTES, PIECE_ROWS, ResumePoint, Row,
        RowReader, TABLES, Table, TransferError, TransferSource, TransferTarget, UNFINISHED_TABLE, Value,
    },
};
use rusqlite::{
    Connection, OptionalExtension as _, ToSql, Transaction, TransactionBehavior, params, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use tokio::sync::oneshot;

use crate::{
    fault::Fault,
    migrate,
    open::{self, DATABASE_FILE, OpenError, Options},
    sealing,
};

/// Page cache of the connection, in KiB: random locators are sorted into an index.
const CACHE_KIB: u32 = 192 * 1_024;
/// Tables that a new database has rows in.
const SEEDED: [&str; 3] = ["plans", "permissions", "data_keys"];

/// A data directory that an installation is moved from.
pub struct SqliteSource(Worker);

impl SqliteSource {
    /// Opens the data directory for this process alone. Nothing is created, and its schema is not changed.
    ///
    /// # Errors
    /// [`OpenError`]; its text says what to do.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let database = directory.join(DATABASE_FILE);
        std::fs::metadata(&database)
            .map_err(|error| OpenError::Directory { directory: directory.to_owned(), error })?;
        let lock = open::lock(directory)?;
        let connection = open::writer(directory, &options())?;
        let found = migrate::schema_version(&connection)?;
        if found < migrate::VERSION {
            return Err(OpenError::Older { found, known: migrate::VERSION });
        }
        if has_table(&connection, UNFINISHED_TABLE)? {
            return Err(OpenError::UnfinishedTransfer);
        }
        if sealing::is_unsealed(&connection)? {
            return Err(OpenError::Unsealed);
        }
        Ok(Self(Worker::start(connection, lock)?))
    }
}

/// A data directory that an installation is moved to.
pub struct SqliteTarget(Worker);

impl SqliteTarget {
    /// Opens the data directory for this process alone, creating what is missing. What is there already is not changed.
    ///
    /// # Errors
    /// [`OpenError`]; its text says what to do.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        open::prepare_directory(directory)?;
        let lock = open::lock(directory)?;
        let mut connection = open::writer(directory, &options())?;
        match migrate::schema_version(&connection)? {
            0 => migrate::migrate(&mut connection)?,
            migrate::VERSION => {}
            found => return Err(OpenError::Older { found, known: migrate::VERSION }),
        }
        // Tables come in the order of their references; all of these are looked at in the end.
        connection.pragma_update(None, "foreign_keys", false)?;
        Ok(Self(Worker::start(connection, lock)?))
    }
}

fn options() -> Options {
    Options { writer_cache_kib: CACHE_KIB, ..Options::default() }
}

/// The thread that the connection belongs to.
struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Worker {
    fn start(mut connection: Connection, lock: File) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name("store-transfer".to_owned())
            .spawn(move || {
                for job in waiting {
                    job(&mut connection);
                }
                drop(connection);
                drop(lock);
            })
            .map_err(|error| StoreError::Unavailable(format!("a thread cannot be started: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has the thread do it.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(reply.send(job(connection))));
        let jobs = self.jobs.as_ref().expect("taken only when the worker is dropped");
        let ended = || StoreError::Internal("the thread of the transfer ended: a defect".to_owned());
        jobs.send(job).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?.map_err(Fault::into_store_error)
    }

    /// Has the thread do it in one transaction.
    async fn transact<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = job(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }

    async fn rows_after(&self, table: &'static Table, after: Option<&Row>) -> Result<Vec<Row>, StoreError> {
        let after = after.cloned();
        self.run(move |connection| rows_after(connection, table, after.as_ref())).await
    }

    async fn last(&self, table: &'static Table) -> Result<Option<Row>, StoreError> {
        self.run(move |connection| {
            let keys: Vec<_> = table.key().iter().map(|column| format!("{} DESC", column.name)).collect();
            let (columns, name, keys) = (table.column_list(), table.name, keys.join(", "));
            let statement = format!("SELECT {columns} FROM {name} ORDER BY {keys} LIMIT 1");
            Ok(read(connection, table, &statement, None)?.pop())
        })
        .await
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic was reported where it happened.
            drop(thread.join());
        }
    }
}

#[async_trait]
impl RowReader for SqliteSource {
    async fn rows_after(
        &mut self,
        table: &'static Table,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError> {
        self.0.rows_after(table, after).await
    }

    async fn last(&mut self, table: &'static Table) -> Result<Option<Row>, StoreError> {
        self.0.last(table).await
    }
}

#[async_trait]
impl TransferSource for SqliteSource {
    async fn hold(&mut self) -> Result<(), TransferError> {
        // The lock of the directory was taken when it was opened.
        Ok(())
    }

    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError> {
        let statement = format!("SELECT count(*) FROM {}", table.name);
        self.0.run(move |connection| Ok(connection.query_row(&statement, [], |row| row.get(0))?)).await
    }

    async fn moved(&mut self) -> Result<Option<String>, StoreError> {
        self.0.run(|connection| Ok(moved_to(connection)?)).await
    }

    async fn mark_moved(&mut self, place: &str, now: Timestamp) -> Result<(), StoreError> {
        let place = place.to_owned();
        self.0
            .transact(move |transaction| {
                transaction.execute_batch(&format!(
                    "CREATE TABLE IF NOT EXISTS {MOVED_TABLE} (place TEXT NOT NULL, at INTEGER NOT NULL) STRICT"
                ))?;
                let statement = format!("INSERT INTO {MOVED_TABLE} (place, at) VALUES (?1, ?2)");
                transaction.execute(&statement, params![place, now.unix_ms()])?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl RowReader for SqliteTarget {
    async fn rows_after(
        &mut self,
        table: &'static Table,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError> {
        self.0.rows_after(table, after).await
    }

    async fn last(&mut self, table: &'static Table) -> Result<Option<Row>, StoreError> {
        self.0.last(table).await
    }
}

#[async_trait]
impl TransferTarget for SqliteTarget {
    async fn inspect(&mut self) -> Result<Found, StoreError> {
        self.0.run(|connection| inspect(connection)).await
    }

    async fn begin(&mut self, source: &Identity, now: Timestamp) -> Result<(), StoreError> {
        let source = source.to_bytes();
        self.0
            .transact(move |transaction| {
                transaction.execute_batch(&format!(
                    "DROP TABLE IF EXISTS {UNFINISHED_TABLE};
                     CREATE TABLE {UNFINISHED_TABLE} (
                         -- A table's name, with its rows and its last key; empty: time and identity of the source.
                         item  TEXT PRIMARY KEY NOT NULL,
                         rows  INTEGER NOT NULL,
                         value BLOB NOT NULL
                     ) STRICT, WITHOUT ROWID"
                ))?;
                for table in TABLES {
                    transaction.execute(&format!("DELETE FROM {}", table.name), [])?;
                }
                put_point(transaction, "", now.unix_ms(), &source)
            })
            .await
    }

    async fn resume_point(&mut self, table: &'static Table) -> Result<ResumePoint, StoreError> {
        self.0
            .run(move |connection| {
                let Some((rows, key)) = point(connection, UNFINISHED_TABLE, table.name)? else {
                    return Ok(ResumePoint::default());
                };
                let last = Row::decode(&key).map_err(|error| Fault::Damaged(error.to_string()))?;
                Ok(ResumePoint { rows: rows.unsigned_abs(), last })
            })
            .await
    }

    async fn write(
        &mut self,
        table: &'static Table,
        rows: Vec<Row>,
        point: ResumePoint,
    ) -> Result<(), StoreError> {
        self.0
            .transact(move |transaction| {
                let places: Vec<_> = (1..=table.columns.len()).map(|place| format!("?{place}")).collect();
                let (name, columns, places) = (table.name, table.column_list(), places.join(", "));
                let statement = format!("INSERT INTO {name} ({columns}) VALUES ({places})");
                let mut insert = transaction.prepare_cached(&statement)?;
                for row in &rows {
                    insert.execute(params_from_iter(row.0.iter().map(Parameter)))?;
                }
                let mut key = Vec::new();
                point.last.encode(&mut key);
                put_point(transaction, name, i64::try_from(point.rows).unwrap_or(i64::MAX), &key)
            })
            .await
    }

    async fn discard(&mut self) -> Result<(), StoreError> {
        self.0
            .transact(|transaction| {
                let Some((at, identity)) = point(transaction, UNFINISHED_TABLE, "")? else { return Ok(()) };
                let mut identity = Identity::from_bytes(&identity).ok_or_else(unreadable_mark)?;
                identity.state = [0; 32];
                put_point(transaction, "", at, &identity.to_bytes())
            })
            .await
    }

    async fn finish(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.0
            .transact(move |transaction| {
                let dangling = transaction
                    .query_row("PRAGMA foreign_key_check", [], |row| row.get::<_, String>(0))
                    .optional()?;
                if let Some(table) = dangling {
                    return Err(Fault::Damaged(format!(
                        "the table {table} refers to rows that are not there"
                    )));
                }
                transaction.execute(&format!("DELETE FROM {UNFINISHED_TABLE} WHERE item <> ''"), [])?;
                transaction.execute(&format!("UPDATE {UNFINISHED_TABLE} SET rows = ?1"), [now.unix_ms()])?;
                let rename = format!("ALTER TABLE {UNFINISHED_TABLE} RENAME TO {FINISHED_TABLE}");
                Ok(transaction.execute_batch(&rename)?)
            })
            .await?;
        self.0.run(|connection| Ok(connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)).await
    }
}

/// Refuses a database that must not be served: not yet, or not any more.
pub(crate) fn refuse_marked(connection: &Connection) -> Result<(), OpenError> {
    if has_table(connection, UNFINISHED_TABLE)? {
        return Err(OpenError::UnfinishedTransfer);
    }
    match moved_to(connection)? {
        Some(place) => Err(OpenError::MovedAway { place }),
        None => Ok(()),
    }
}

fn has_table(connection: &Connection, name: &str) -> Result<bool, rusqlite::Error> {
    let statement = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    connection.query_row(statement, [name], |row| row.get(0))
}

fn moved_to(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    if !has_table(connection, MOVED_TABLE)? {
        return Ok(None);
    }
    connection.query_row(&format!("SELECT place FROM {MOVED_TABLE} LIMIT 1"), [], |row| row.get(0)).optional()
}

fn inspect(connection: &Connection) -> Result<Found, Fault> {
    let identity = |table: &str| -> Result<Option<(Identity, Timestamp)>, Fault> {
        if !has_table(connection, table)? {
            return Ok(None);
        }
        let (at, identity) = point(connection, table, "")?.ok_or_else(unreadable_mark)?;
        let identity = Identity::from_bytes(&identity).ok_or_else(unreadable_mark)?;
        Ok(Some((identity, Timestamp::from_unix_ms(at))))
    };
    let mut is_used = has_table(connection, MOVED_TABLE)?;
    for table in TABLES.iter().filter(|table| !SEEDED.contains(&table.name)) {
        let statement = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
        is_used |= connection.query_row(&statement, [], |row| row.get::<_, bool>(0))?;
    }
    let unfinished = identity(UNFINISHED_TABLE)?.map(|(identity, _)| identity);
    Ok(Found { unfinished, finished: identity(FINISHED_TABLE)?, is_used })
}

fn unreadable_mark() -> Fault {
    Fault::Damaged("what the unfinished transfer says of itself cannot be read".to_owned())
}

fn point(connection: &Connection, table: &str, item: &str) -> Result<Option<(i64, Vec<u8>)>, Fault> {
    let statement = format!("SELECT rows, value FROM {table} WHERE item = ?1");
    Ok(connection.query_row(&statement, [item], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn put_point(connection: &Connection, item: &str, rows: i64, value: &[u8]) -> Result<(), Fault> {
    let statement =
        format!("INSERT OR REPLACE INTO {UNFINISHED_TABLE} (item, rows, value) VALUES (?1, ?2, ?3)");
    connection.prepare_cached(&statement)?.execute(params![item, rows, value])?;
    Ok(())
}

/// The statement for a piece of a table, from its beginning or from behind a key.
fn piece_sql(table: &Table, from: From) -> String {
    let (columns, name, keys) = (table.column_list(), table.name, table.key_list());
    let behind = match from {
        From::First => String::new(),
        From::Behind => {
            let places: Vec<_> = (1..=table.key_columns).map(|place| format!("?{place}")).collect();
            format!("WHERE ({keys}) > ({}) ", places.join(", "))
        }
    };
    format!("SELECT {columns} FROM {name} {behind}ORDER BY {keys} LIMIT {PIECE_ROWS}")
}

#[derive(Clone, Copy)]
enum From {
    First,
    Behind,
}

fn rows_after(connection: &Connection, table: &Table, after: Option<&Row>) -> Result<Vec<Row>, Fault> {
    let from = if after.is_some() { From::Behind } else { From::First };
    read(connection, table, &piece_sql(table, from), after)
}

fn read(
    connection: &Connection,
    table: &Table,
    statement: &str,
    after: Option<&Row>,
) -> Result<Vec<Row>, Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    let key = after.into_iter().flat_map(|row| row.0.iter().map(Parameter));
    let mut found = statement.query(params_from_iter(key))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < PIECE_BYTES
        && let Some(row) = found.next()?
    {
        let mut values = Vec::with_capacity(table.columns.len());
        for (place, column) in table.columns.iter().enumerate() {
            let value = value(row.get_ref(place)?, column.kind).ok_or_else(|| {
                Fault::Damaged(format!(
                    "the column {} of a row of {} cannot be read",
                    column.name, table.name
                ))
            })?;
            values.push(value);
        }
        let row = Row(values);
        bytes += row.weight();
        rows.push(row);
    }
    Ok(rows)
}

fn value(found: ValueRef<'_>, kind: Kind) -> Option<Value> {
    Some(match (found, kind) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(number), Kind::Integer) => Value::Integer(number),
        (ValueRef::Integer(number @ (0 | 1)), Kind::Boolean) => Value::Boolean(number == 1),
        (ValueRef::Text(text), Kind::Text) => Value::Text(std::str::from_utf8(text).ok()?.to_owned()),
        (ValueRef::Blob(bytes), Kind::Blob) => Value::Blob(bytes.to_vec()),
        _ => return None,
    })
}

/// A value as a parameter.
struct Parameter<'a>(&'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Boolean(answer) => ValueRef::Integer(i64::from(*answer)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use keywright_domain::transfer::{DERIVED_COLUMNS, STAYING_TABLES};

    use super::*;

    fn new_database() -> Connection {
        let mut connection = open::memory().unwrap();
        migrate::migrate(&mut connection).unwrap();
        connection
    }

    fn names(connection: &Connection, statement: &str) -> BTreeSet<String> {
        let mut statement = connection.prepare(statement).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn every_table_goes_along_or_stays_behind_for_a_reason() {
        let connection = new_database();
        let here = names(&connection, "SELECT name FROM sqlite_schema WHERE type = 'table'");
        for table in here {
            let goes = TABLES.iter().any(|known| known.name == table);
            let stays = STAYING_TABLES.iter().any(|(known, _)| *known == table);
            assert!(goes || stays, "the table {table} is in no list of domain::transfer");
        }
    }

    #[test]
    fn every_column_goes_along() {
        let connection = new_database();
        for table in TABLES {
            let statement = format!("SELECT name FROM pragma_table_info('{}')", table.name);
            let listed: BTreeSet<_> = table.columns.iter().map(|column| column.name.to_owned()).collect();
            let mut here = names(&connection, &statement);
            here.retain(|column| {
                !DERIVED_COLUMNS.iter().any(|(of, name)| *of == table.name && *name == column)
            });
            assert_eq!(here, listed, "{}", table.name);
            let keys =
                format!("SELECT name FROM pragma_table_info('{}') WHERE pk > 0 ORDER BY pk", table.name);
            let mut statement = connection.prepare(&keys).unwrap();
            let keys: Vec<String> =
                statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            assert_eq!(keys.join(", "), table.key_list(), "{}", table.name);
        }
    }

    #[test]
    fn a_piece_is_found_by_an_index() {
        let connection = new_database();
        for table in TABLES {
            let statement = format!("EXPLAIN QUERY PLAN {}", piece_sql(table, From::Behind));
            let mut explained = connection.prepare(&statement).unwrap();
            (1..=table.key_columns).for_each(|place| explained.raw_bind_parameter(place, 1).unwrap());
            let mut rows = explained.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let step: String = row.get(3).unwrap();
                assert!(!step.starts_with("SCAN") && !step.contains("TEMP B-TREE"), "{}: {step}", table.name);
            }
        }
    }
}
