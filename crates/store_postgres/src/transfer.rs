//! The database as one side of a transfer.

mod copy;

use std::{fmt::Write as _, time::Duration};

use async_trait::async_trait;
use futures_util::{SinkExt as _, TryStreamExt as _};
use keywright_domain::{
    store::StoreError,
    time::Timestamp,
    transfer::{
        FINISHED_TABLE, Found, Identity, Kind, MOVED_TABLE, PIECE_BYTES, PIECE_ROWS, ResumePoint, Row,
        RowReader, TABLES, Table, TransferError, TransferSource, TransferTarget, UNFINISHED_TABLE, Value,
    },
};
use tokio::time::sleep;
use tokio_postgres::{Config, config::Host};

use crate::{
    connect::{ConnectError, Connected, Param, Plan, connect},
    fault::Fault,
    migrate,
    options::PostgresOptions,
    params,
    rows::{blob, number, optional_text, text},
    sealing, sql,
};

/// Registered nodes are watched so long before they count as silent: more than two of their polls.
const WATCH: Duration = Duration::from_secs(5);
/// Tables that a new schema has rows in.
const SEEDED: [&str; 3] = ["plans", "permissions", "data_keys"];
/// What `head` is called in a schema whose installation was moved: whoever still writes there fails.
const OLD_HEAD: &str = "head_before_move";

/// A connection for a transfer. All statements may take as long as they need.
struct Session {
    connected: Connected,
    place: String,
}

impl Session {
    async fn open(mut options: PostgresOptions) -> Result<Self, ConnectError> {
        options.statement_timeout = Duration::ZERO;
        options.idle_in_transaction_timeout = Duration::ZERO;
        options.application_name.push_str(" migrate");
        let place = place(&options);
        let plan = Plan::new(options)?;
        let (connected, _driver) = connect(&plan).await?;
        Ok(Self { connected, place })
    }

    async fn has_table(&self, schema: &str, name: &str) -> Result<bool, Fault> {
        let tables = self.connected.query(sql::migrations::TABLES, params![schema]).await?;
        Ok(tables.iter().any(|row| text(row, 0).is_ok_and(|table| table == name)))
    }

    async fn query(&self, statement: &str, values: Vec<Param>) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let client = self.connected.client();
        Ok(client.query_raw(statement, values).await?.try_collect().await?)
    }

    async fn rows_after(&self, table: &'static Table, after: Option<&Row>) -> Result<Vec<Row>, Fault> {
        let values = after.map_or_else(Vec::new, |row| row.0.iter().map(parameter).collect());
        let statement = self.connected.client().prepare(&piece_sql(table, after.is_some())).await?;
        let found = self.connected.client().query_raw(&statement, values).await?;
        let mut found = std::pin::pin!(found);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < PIECE_BYTES
            && let Some(row) = found.try_next().await?
        {
            let row = read(&row, table)?;
            bytes += row.weight();
            rows.push(row);
        }
        Ok(rows)
    }

    async fn last(&self, table: &'static Table) -> Result<Option<Row>, Fault> {
        let keys: Vec<_> = table.key().iter().map(|column| format!("{} DESC", column.name)).collect();
        let (columns, name, keys) = (table.column_list(), table.name, keys.join(", "));
        let statement = format!("SELECT {columns} FROM {name} ORDER BY {keys} LIMIT 1");
        self.query(&statement, params![]).await?.first().map(|row| read(row, table)).transpose()
    }

    /// Does it in one transaction.
    async fn transact(&self, job: impl AsyncFnOnce(&Self) -> Result<(), Fault>) -> Result<(), StoreError> {
        self.connected.batch("BEGIN").await.map_err(Fault::into_store_error)?;
        if let Err(fault) = job(self).await {
            // If that fails too, the connection is lost, and with it the transaction.
            drop(self.connected.batch("ROLLBACK").await);
            return Err(fault.into_store_error());
        }
        self.commit().await
    }

    /// Commits; a commit that is not durable is as bad as none.
    async fn commit(&self) -> Result<(), StoreError> {
        let warnings = self.connected.warnings();
        match self.connected.batch("COMMIT").await {
            Ok(()) if self.connected.warnings() == warnings => Ok(()),
            Ok(()) => Err(StoreError::CommitUnknown(self.connected.last_warning())),
            Err(fault) if fault.ends_connection() => {
                let error = fault.into_store_error();
                Err(StoreError::CommitUnknown(format!(
                    "{error}; run the command again, which looks at what is there"
                )))
            }
            Err(fault) => Err(fault.into_store_error()),
        }
    }

    async fn moved(&self, schema: &str) -> Result<Option<String>, Fault> {
        if !self.has_table(schema, MOVED_TABLE).await? {
            return Ok(None);
        }
        let rows = self.query(&format!("SELECT place FROM {MOVED_TABLE} LIMIT 1"), params![]).await?;
        rows.first().map(|row| Ok(text(row, 0)?.to_owned())).transpose()
    }

    async fn point(&self, table: &str, item: &str) -> Result<Option<(i64, Vec<u8>)>, Fault> {
        let statement = format!("SELECT rows, value FROM {table} WHERE item = $1");
        let rows = self.query(&statement, params![item]).await?;
        rows.first().map(|row| Ok((number(row, 0)?, blob(row, 1)?.to_vec()))).transpose()
    }

    async fn put_point(&self, item: &str, rows: i64, value: Vec<u8>) -> Result<(), Fault> {
        let statement = format!(
            "INSERT INTO {UNFINISHED_TABLE} (item, rows, value) VALUES ($1, $2, $3) \
             ON CONFLICT (item) DO UPDATE SET rows = excluded.rows, value = excluded.value"
        );
        self.query(&statement, params![item, rows, value]).await.map(drop)
    }

    /// Drops indexes and references that only cost time while rows come in, and keeps their definitions. Keys and
    /// constraints of uniqueness stay.
    async fn put_off(&self) -> Result<(), Fault> {
        for row in self.query(PUT_OFF, params![]).await? {
            let (item, drop, make) = (text(&row, 0)?, text(&row, 1)?, text(&row, 2)?);
            self.connected.batch(drop).await?;
            self.put_point(item, 0, make.as_bytes().to_vec()).await?;
        }
        Ok(())
    }

    /// Makes what was put off: indexes before references, which are checked for all rows.
    async fn make_up(&self) -> Result<(), Fault> {
        let statement = format!(
            "SELECT convert_from(value, 'UTF8') FROM {UNFINISHED_TABLE} WHERE starts_with(item, $1) ORDER BY item"
        );
        for row in self.query(&statement, params![LATER]).await? {
            self.connected.batch(text(&row, 0)?).await?;
        }
        Ok(())
    }

    async fn identity(&self, table: &str) -> Result<(Identity, Timestamp), Fault> {
        let mark = self.point(table, "").await?;
        let mark =
            mark.and_then(|(at, bytes)| Some((Identity::from_bytes(&bytes)?, Timestamp::from_unix_ms(at))));
        mark.ok_or_else(|| {
            Fault::Damaged("what the unfinished transfer says of itself cannot be read".to_owned())
        })
    }
}

/// Where a database is, for people; without user and password.
fn place(options: &PostgresOptions) -> String {
    let Ok(config) = options.url.expose().parse::<Config>() else { return "PostgreSQL".to_owned() };
    let hosts: Vec<_> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or("?");
    let mut place = format!("the PostgreSQL database {database} on {}", hosts.join(","));
    if let [port] = config.get_ports() {
        write!(place, ":{port}").expect("a String takes everything");
    }
    write!(place, ", schema {}", options.schema).expect("a String takes everything");
    place
}

/// A schema that an installation is moved from.
pub struct PostgresSource {
    session: Session,
    schema: String,
    watch: Duration,
}

impl PostgresSource {
    /// Connects. The schema is not changed.
    ///
    /// # Errors
    /// [`ConnectError`]; its text says what to do.
    pub async fn open(options: PostgresOptions) -> Result<Self, ConnectError> {
        let schema = options.schema.clone();
        let session = Session::open(options).await?;
        if session.has_table(&schema, UNFINISHED_TABLE).await? {
            return Err(ConnectError::UnfinishedTransfer);
        }
        migrate::check_current(&session.connected, &schema).await?;
        if sealing::is_unsealed(&session.connected, &schema).await? {
            return Err(ConnectError::Unsealed);
        }
        Ok(Self { session, schema, watch: WATCH })
    }

    /// Where it is, for people; without user and password.
    pub fn place(&self) -> &str {
        &self.session.place
    }

    /// Registered nodes that polled while they were watched.
    async fn live_nodes(&self) -> Result<Vec<String>, Fault> {
        let statement = "SELECT name, incarnation, renewals FROM nodes WHERE NOT fenced ORDER BY name";
        let look = || async {
            let rows = self.session.query(statement, params![]).await?;
            let node = |row| {
                Ok::<_, Fault>((text(row, 0)?.to_owned(), blob(row, 1)?.to_vec(), number::<i64>(row, 2)?))
            };
            rows.iter().map(node).collect::<Result<Vec<_>, _>>()
        };
        let before = look().await?;
        if before.is_empty() {
            return Ok(Vec::new());
        }
        sleep(self.watch).await;
        let after = look().await?;
        let live = after.into_iter().filter(|node| !before.contains(node));
        Ok(live.map(|(name, ..)| format!("node {name}")).collect())
    }

    async fn lock(&self) -> Result<(), Fault> {
        let tables: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        // The locks first: then the snapshot, which the first question takes, has all that was written before them.
        let statement = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE head, {} IN EXCLUSIVE MODE",
            tables.join(", ")
        );
        self.session.connected.batch(&statement).await
    }
}

#[async_trait]
impl RowReader for PostgresSource {
    async fn rows_after(
        &mut self,
        table: &'static Table,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError> {
        self.session.rows_after(table, after).await.map_err(Fault::into_store_error)
    }

    async fn last(&mut self, table: &'static Table) -> Result<Option<Row>, StoreError> {
        self.session.last(table).await.map_err(Fault::into_store_error)
    }
}

#[async_trait]
impl TransferSource for PostgresSource {
    async fn hold(&mut self) -> Result<(), TransferError> {
        let failed = |fault: Fault| TransferError::Source(fault.into_store_error());
        if self.session.moved(&self.schema).await.map_err(failed)?.is_some() {
            return Ok(());
        }
        let live = self.live_nodes().await.map_err(failed)?;
        if !live.is_empty() {
            return Err(TransferError::InUse(live));
        }
        self.lock().await.map_err(failed)
    }

    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError> {
        let statement = format!("SELECT count(*) FROM {}", table.name);
        let count = async {
            let rows = self.session.query(&statement, params![]).await?;
            rows.first().map_or(Ok(0), |row| number(row, 0))
        };
        count.await.map_err(Fault::into_store_error)
    }

    async fn moved(&mut self) -> Result<Option<String>, StoreError> {
        self.session.moved(&self.schema).await.map_err(Fault::into_store_error)
    }

    async fn mark_moved(&mut self, place: &str, now: Timestamp) -> Result<(), StoreError> {
        let mark = async {
            self.session
                .connected
                .batch(&format!(
                    "CREATE TABLE {MOVED_TABLE} (place text NOT NULL, at bigint NOT NULL); \
                     ALTER TABLE head RENAME TO {OLD_HEAD}"
                ))
                .await?;
            let statement = format!("INSERT INTO {MOVED_TABLE} (place, at) VALUES ($1, $2)");
            self.session.query(&statement, params![place, now]).await
        };
        mark.await.map_err(Fault::into_store_error)?;
        self.session.commit().await
    }
}

/// A schema that an installation is moved to.
pub struct PostgresTarget {
    session: Session,
    schema: String,
}

impl PostgresTarget {
    /// Connects, and makes the schema if it is missing. What is there already is not changed.
    ///
    /// # Errors
    /// [`ConnectError`]; its text says what to do.
    pub async fn open(options: PostgresOptions) -> Result<Self, ConnectError> {
        let schema = options.schema.clone();
        let session = Session::open(options.clone()).await?;
        session.query("SELECT pg_advisory_lock($1)::text", params![lock_number(&schema)]).await?;
        let tables = session.connected.query(sql::migrations::TABLES, params![schema.as_str()]).await?;
        if tables.is_empty() {
            migrate::migrate(&Plan::new(options)?).await?;
        }
        migrate::check_current(&session.connected, &schema).await?;
        // What a crash of the server takes away of pieces, it takes away together with the places where they end.
        session.connected.batch("SET synchronous_commit TO off").await?;
        Ok(Self { session, schema })
    }

    /// Where it is, for people; without user and password.
    pub fn place(&self) -> &str {
        &self.session.place
    }

    async fn look(&self) -> Result<Found, Fault> {
        let mut is_used = self.session.has_table(&self.schema, MOVED_TABLE).await?;
        let tables = TABLES.iter().map(|table| table.name).filter(|table| !SEEDED.contains(table));
        for table in tables.chain((!is_used).then_some("nodes")) {
            let statement = format!("SELECT 1 FROM {table} LIMIT 1");
            is_used |= !self.session.query(&statement, params![]).await?.is_empty();
        }
        let mut found = Found { is_used, ..Found::default() };
        if self.session.has_table(&self.schema, UNFINISHED_TABLE).await? {
            found.unfinished = Some(self.session.identity(UNFINISHED_TABLE).await?.0);
        }
        if self.session.has_table(&self.schema, FINISHED_TABLE).await? {
            found.finished = Some(self.session.identity(FINISHED_TABLE).await?);
        }
        Ok(found)
    }
}

#[async_trait]
impl RowReader for PostgresTarget {
    async fn rows_after(
        &mut self,
        table: &'static Table,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError> {
        self.session.rows_after(table, after).await.map_err(Fault::into_store_error)
    }

    async fn last(&mut self, table: &'static Table) -> Result<Option<Row>, StoreError> {
        self.session.last(table).await.map_err(Fault::into_store_error)
    }
}

#[async_trait]
impl TransferTarget for PostgresTarget {
    async fn inspect(&mut self) -> Result<Found, StoreError> {
        self.look().await.map_err(Fault::into_store_error)
    }

    async fn begin(&mut self, source: &Identity, now: Timestamp) -> Result<(), StoreError> {
        let tables: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {UNFINISHED_TABLE} (\
                 item text COLLATE \"C\" PRIMARY KEY, rows bigint NOT NULL, value bytea NOT NULL); \
             DELETE FROM {UNFINISHED_TABLE} WHERE NOT starts_with(item, '{LATER}'); \
             TRUNCATE {}",
            tables.join(", ")
        );
        let identity = source.to_bytes();
        self.session
            .transact(async move |session| {
                session.connected.batch("SET LOCAL synchronous_commit TO on").await?;
                session.connected.batch(&statement).await?;
                session.put_off().await?;
                session.put_point("", now.unix_ms(), identity).await
            })
            .await
    }

    async fn resume_point(&mut self, table: &'static Table) -> Result<ResumePoint, StoreError> {
        let point =
            self.session.point(UNFINISHED_TABLE, table.name).await.map_err(Fault::into_store_error)?;
        let Some((rows, key)) = point else { return Ok(ResumePoint::default()) };
        let last = Row::decode(&key).map_err(|error| StoreError::Damaged(error.to_string()))?;
        Ok(ResumePoint { rows: rows.unsigned_abs(), last })
    }

    async fn write(
        &mut self,
        table: &'static Table,
        rows: Vec<Row>,
        point: ResumePoint,
    ) -> Result<(), StoreError> {
        self.session
            .transact(async move |session| {
                let bytes = copy::encode(table, &rows)?;
                let sink = session.connected.client().copy_in(&copy::statement(table)).await?;
                let mut sink = std::pin::pin!(sink);
                sink.send(std::io::Cursor::new(bytes)).await?;
                sink.finish().await?;
                let mut key = Vec::new();
                point.last.encode(&mut key);
                session.put_point(table.name, i64::try_from(point.rows).unwrap_or(i64::MAX), key).await
            })
            .await
    }

    async fn discard(&mut self) -> Result<(), StoreError> {
        self.session
            .transact(async |session| {
                let (mut identity, at) = session.identity(UNFINISHED_TABLE).await?;
                identity.state = [0; 32];
                session.put_point("", at.unix_ms(), identity.to_bytes()).await
            })
            .await
    }

    async fn finish(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.session
            .transact(async move |session| {
                session.connected.batch("SET LOCAL synchronous_commit TO on").await?;
                session.make_up().await?;
                session.connected.batch(SET_HEAD).await?;
                for table in ["operators", "incidents"] {
                    session.query(&next_number_sql(table), params![]).await?;
                }
                let statement = format!(
                    "DELETE FROM {UNFINISHED_TABLE} WHERE item <> ''; \
                     ALTER TABLE {UNFINISHED_TABLE} RENAME TO {FINISHED_TABLE}"
                );
                session.connected.batch(&statement).await?;
                let statement = format!("UPDATE {FINISHED_TABLE} SET rows = $1");
                session.query(&statement, params![now]).await.map(drop)
            })
            .await?;
        // The planner knows nothing of these tables yet. If that fails, the server does it by itself later.
        drop(self.session.connected.batch("ANALYZE").await);
        Ok(())
    }
}

/// What the items are called that keep definitions of what is made in the end.
const LATER: &str = "later:";

/// What is put off: its item, how it is dropped, how it is made.
const PUT_OFF: &str = "\
SELECT 'later:1:' || c.relname, format('DROP INDEX %I', c.relname), pg_get_indexdef(c.oid)
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace
  AND NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = c.oid)
UNION ALL
SELECT 'later:2:' || o.conname, format('ALTER TABLE %s DROP CONSTRAINT %I', o.conrelid::regclass, o.conname),
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', o.conrelid::regclass, o.conname, pg_get_constraintdef(o.oid))
FROM pg_constraint o
WHERE o.connamespace = current_schema()::regnamespace AND o.contype = 'f'";

/// The last numbers given out are in the tables.
const SET_HEAD: &str = "\
UPDATE head SET
    sequence = (SELECT coalesce(max(sequence), 0) FROM changes),
    stable_sequence = (SELECT coalesce(max(sequence), 0) FROM changes),
    audit_sequence = (SELECT coalesce(max(sequence), 0) FROM audit),
    audit_hash = coalesce((SELECT hash FROM audit ORDER BY sequence DESC LIMIT 1), audit_hash),
    last_key = (SELECT coalesce(max(number), 0) FROM keys),
    last_workspace = (SELECT coalesce(max(number), 0) FROM workspaces),
    last_membership = (SELECT coalesce(max(number), 0) FROM memberships)
WHERE id = 1";

fn next_number_sql(table: &str) -> String {
    format!(
        "SELECT setval(pg_get_serial_sequence('{table}', 'number'), max(number))::text FROM {table} \
         HAVING max(number) IS NOT NULL"
    )
}

/// Which advisory lock stands for a transfer into a schema.
fn lock_number(schema: &str) -> i64 {
    migrate::advisory_lock("transfer into", schema)
}

/// The statement for a piece of a table, from its beginning or from behind a key.
fn piece_sql(table: &Table, is_behind: bool) -> String {
    let (columns, name, keys) = (table.column_list(), table.name, table.key_list());
    let places: Vec<_> = (1..=table.key_columns).map(|place| format!("${place}")).collect();
    let behind = if is_behind { format!("WHERE ({keys}) > ({}) ", places.join(", ")) } else { String::new() };
    format!("SELECT {columns} FROM {name} {behind}ORDER BY {keys} LIMIT {PIECE_ROWS}")
}

/// A value of a key.
fn parameter(value: &Value) -> Param {
    match value {
        Value::Null => Box::new(None::<i64>),
        Value::Integer(number) => Box::new(*number),
        Value::Text(text) => Box::new(text.clone()),
        Value::Blob(bytes) => Box::new(bytes.clone()),
        Value::Boolean(answer) => Box::new(*answer),
    }
}

fn read(row: &tokio_postgres::Row, table: &Table) -> Result<Row, Fault> {
    let mut values = Vec::with_capacity(table.columns.len());
    for (place, column) in table.columns.iter().enumerate() {
        let unreadable = |_| {
            Fault::Damaged(format!("the column {} of a row of {} cannot be read", column.name, table.name))
        };
        let value = match column.kind {
            Kind::Integer => row.try_get::<_, Option<i64>>(place).map_err(unreadable)?.map(Value::Integer),
            Kind::Text => optional_text(row, place)?.map(|text| Value::Text(text.to_owned())),
            Kind::Blob => row.try_get::<_, Option<Vec<u8>>>(place).map_err(unreadable)?.map(Value::Blob),
            Kind::Boolean => row.try_get::<_, Option<bool>>(place).map_err(unreadable)?.map(Value::Boolean),
        };
        values.push(value.unwrap_or(Value::Null));
    }
    Ok(Row(values))
}

/// The statement for a piece of each table: for tests that look at their plans.
#[doc(hidden)]
pub fn piece_statements() -> Vec<(&'static str, String)> {
    TABLES.iter().map(|table| (table.name, piece_sql(table, true))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_no_secret() {
        let place = |url: &str| place(&PostgresOptions::new(url));
        assert_eq!(
            place("postgres://ada:hunter2@db.example.com:5433/keys"),
            "the PostgreSQL database keys on db.example.com:5433, schema keywright"
        );
        assert_eq!(
            place("postgres://ada:hunter2@db"),
            "the PostgreSQL database ada on db:5432, schema keywright"
        );
        assert_eq!(place("hunter2"), "PostgreSQL");
    }
}
