//! Adding usage to the rollups, exactly once and in pieces, so that commands need not wait long.

use std::collections::{BTreeMap, HashMap};

use keywright_domain::{
    caps,
    key::KeyNumber,
    store::StoreError,
    usage::{AgentClass, Granularity, UsageBatch, UsageRow, network_to_bytes, origins_of},
    verdict::Code,
};
use rusqlite::{Connection, params};

use super::{Reply, Writer};
use crate::{
    fault::Fault,
    rows::{address_column, installation::first},
    sql::usage as sql,
};

/// Most rows that are added in one transaction.
const CHUNK_ROWS: usize = 5_000;
/// A process sends its batches in order, so it sends none again that is older than this many.
const BATCHES_KEPT: u64 = 64;

/// A batch whose sender waits.
pub(super) struct UsageJob {
    batch: UsageBatch,
    reply: Reply<Result<(), StoreError>>,
}

impl UsageJob {
    /// Puts the rows in their canonical order: a batch that is sent again after half of it was added must go on at the
    /// same row.
    pub(super) fn new(mut batch: UsageBatch, reply: Reply<Result<(), StoreError>>) -> Self {
        batch.rows.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        Self { batch, reply }
    }
}

fn order(row: &UsageRow) -> impl Ord + '_ {
    let place = (row.key, row.minute, row.secret_ordinal, row.address, row.route.as_str());
    (place, row.code, row.agent as u8, row.last_at, row.count, row.cost)
}

impl Writer {
    /// Adds one piece of the oldest waiting batch.
    pub(super) fn add_usage(&mut self) {
        let Some(job) = self.usage.pop_front() else { return };
        match self.in_transaction(|connection| add_piece(connection, &job.batch)) {
            Ok(Progress::More) => self.usage.push_front(job),
            Ok(Progress::Done) => drop(job.reply.send(Ok(()))),
            Err(error) => drop(job.reply.send(Err(error))),
        }
    }
}

enum Progress {
    More,
    Done,
}

fn add_piece(connection: &Connection, batch: &UsageBatch) -> Result<Progress, Fault> {
    let newest = first(connection, sql::NEWEST_BATCH, [batch.incarnation], |row| Ok(row.get::<_, u64>(0)?))?;
    if newest.is_some_and(|newest| batch.batch.saturating_add(BATCHES_KEPT) < newest) {
        return Ok(Progress::Done);
    }
    let parameters = params![batch.incarnation, batch.batch];
    let added = first(connection, sql::BATCH, parameters, |row| Ok(row.get::<_, Option<usize>>(0)?))?;
    let from = match added {
        Some(None) => return Ok(Progress::Done),
        Some(Some(from)) => from.min(batch.rows.len()),
        None => 0,
    };
    let until = batch.rows.len().min(from + CHUNK_ROWS);
    let is_done = until == batch.rows.len();
    add_rows(connection, &batch.rows[from..until])?;
    let parameters = params![batch.incarnation, batch.batch, (!is_done).then_some(until)];
    connection.prepare_cached(sql::PUT_BATCH)?.execute(parameters)?;
    let oldest = batch.batch.saturating_sub(BATCHES_KEPT);
    connection.prepare_cached(sql::PRUNE_BATCHES)?.execute(params![batch.incarnation, oldest])?;
    Ok(if is_done { Progress::Done } else { Progress::More })
}

/// Count and cost by key or workspace, bucket and code.
type Sums = BTreeMap<(u32, i64, Code), (u64, u64)>;

fn add_rows(connection: &Connection, rows: &[UsageRow]) -> Result<(), Fault> {
    let workspaces = workspaces_of(connection, rows)?;
    for granularity in [Granularity::Minute, Granularity::Hour, Granularity::Day] {
        let (mut by_key, mut by_workspace) = (Sums::new(), Sums::new());
        for row in rows {
            let bucket = row.minute.div_euclid(granularity.minutes());
            add(&mut by_key, (row.key.0, bucket, row.code), row);
            if let Some(workspace) = workspaces.get(&row.key) {
                add(&mut by_workspace, (*workspace, bucket, row.code), row);
            }
        }
        let (key_sql, workspace_sql) = match granularity {
            Granularity::Minute => (sql::ADD_MINUTE, sql::ADD_WORKSPACE_MINUTE),
            Granularity::Hour => (sql::ADD_HOUR, sql::ADD_WORKSPACE_HOUR),
            Granularity::Day => (sql::ADD_DAY, sql::ADD_WORKSPACE_DAY),
        };
        keep_sums(connection, key_sql, &by_key)?;
        keep_sums(connection, workspace_sql, &by_workspace)?;
    }
    keep_ledger(connection, rows)?;
    keep_origins(connection, rows)?;
    keep_last_used(connection, rows)
}

fn add(sums: &mut Sums, place: (u32, i64, Code), row: &UsageRow) {
    let (count, cost) = sums.entry(place).or_default();
    *count += row.count;
    *cost += row.cost;
}

fn keep_sums(connection: &Connection, statement: &str, sums: &Sums) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    for ((owner, bucket, code), (count, cost)) in sums {
        statement.execute(params![owner, bucket, *code as u8, count, cost])?;
    }
    Ok(())
}

fn workspaces_of(connection: &Connection, rows: &[UsageRow]) -> Result<HashMap<KeyNumber, u32>, Fault> {
    let mut workspaces = HashMap::new();
    let mut last = None;
    for key in rows.iter().map(|row| row.key) {
        if last != Some(key) {
            last = Some(key);
            let found = first(connection, sql::WORKSPACE_OF, [key.0], |row| Ok(row.get(0)?))?;
            workspaces.extend(found.map(|workspace| (key, workspace)));
        }
    }
    Ok(workspaces)
}

fn keep_ledger(connection: &Connection, rows: &[UsageRow]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(sql::ADD_LEDGER)?;
    for row in rows {
        statement.execute(params![
            row.key.0,
            row.minute,
            row.secret_ordinal,
            address_column(row.address),
            row.route,
            row.code as u8,
            row.agent as u8,
            row.count
        ])?;
    }
    Ok(())
}

fn keep_origins(connection: &Connection, rows: &[UsageRow]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(sql::ADD_ORIGIN)?;
    for (key, origin) in origins_of(rows) {
        statement.execute(params![
            key.0,
            network_to_bytes(&origin.network),
            origin.first_at.unix_ms(),
            origin.last_at.unix_ms(),
            origin.accepted,
            origin.refused,
            caps::ORIGINS_PER_KEY,
        ])?;
    }
    Ok(())
}

/// Only accepted calls are a use: whoever is refused must not keep a forgotten key looking alive.
fn keep_last_used(connection: &Connection, rows: &[UsageRow]) -> Result<(), Fault> {
    let mut latest: BTreeMap<(KeyNumber, u16), &UsageRow> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.code == Code::Valid) {
        let place = latest.entry((row.key, row.secret_ordinal)).or_insert(row);
        if row.last_at > place.last_at {
            *place = row;
        }
    }
    let mut statement = connection.prepare_cached(sql::PUT_LAST_USED)?;
    for ((key, secret_ordinal), row) in latest {
        let address = row.address.map(|known| address_column(Some(known)));
        let agent: AgentClass = row.agent;
        statement.execute(params![key.0, secret_ordinal, row.last_at.unix_ms(), address, agent as u8])?;
    }
    Ok(())
}
