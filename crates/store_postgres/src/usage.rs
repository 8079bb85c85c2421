//! Adding usage to the rollups, exactly once and in pieces. No lock of the writers is taken.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use keywright_domain::{
    caps,
    key::KeyNumber,
    store::StoreError,
    usage::{Granularity, UsageBatch, UsageRow, network_to_bytes, origins_of},
    verdict::Code,
};
use tokio::{sync::Mutex, time::timeout, try_join};

use crate::{
    connect::{Connected, Param, Plan},
    fault::Fault,
    lane::Lane,
    params,
    rows::{address_column, number, optional_number},
    sql::usage as sql,
};

/// Most rows that are added in one transaction.
const CHUNK_ROWS: usize = 5_000;
/// A process sends its batches in order, so it sends none again that is older than this many.
const BATCHES_KEPT: u64 = 64;

/// The connection on which usage is added, one piece at a time.
pub(crate) struct UsageWriter {
    plan: Arc<Plan>,
    lane: Mutex<Lane>,
}

impl UsageWriter {
    pub(crate) fn new(plan: Arc<Plan>, lane: Lane) -> Self {
        Self { plan, lane: Mutex::new(lane) }
    }

    /// Adds a batch, unless it was added before.
    pub(crate) async fn add(&self, mut batch: UsageBatch) -> Result<(), StoreError> {
        // The canonical order: a batch that is sent again after half of it was added must go on at the same row. It is also
        // the order in which all nodes lock rows.
        batch.rows.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        loop {
            let lane = self.lane.lock().await;
            let connected = lane.get()?;
            let piece = add_piece(&connected, &batch);
            match timeout(self.plan.options.answer_timeout, piece).await.unwrap_or(Err(Fault::Silent)) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => return Ok(()),
                Err(fault) => {
                    // Whatever state the transaction is in, the batch can be sent again.
                    if fault.ends_connection() || connected.batch("ROLLBACK").await.is_err() {
                        connected.give_up();
                    }
                    return Err(fault.into_store_error());
                }
            }
        }
    }
}

fn order(row: &UsageRow) -> impl Ord + '_ {
    let place = (row.key, row.minute, row.secret_ordinal, row.address, row.route.as_str());
    (place, row.code, row.agent as u8, row.last_at, row.count, row.cost)
}

enum Progress {
    More,
    Done,
}

async fn add_piece(connected: &Connected, batch: &UsageBatch) -> Result<Progress, Fault> {
    let mine = || params![batch.incarnation, batch.batch];
    let ((), _, newest, added) = try_join!(
        biased;
        connected.batch("BEGIN"),
        connected.execute(sql::BEGIN_BATCH, mine()),
        connected.first(sql::NEWEST_BATCH, params![batch.incarnation]),
        connected.first(sql::BATCH, mine()),
    )?;
    let newest = newest.map_or(Ok(0), |row| number::<u64>(&row, 0))?;
    let added = added.ok_or_else(|| Fault::Damaged("a batch of usage is not there".to_owned()))?;
    let from = match optional_number::<usize>(&added, 0)? {
        Some(from) if batch.batch.saturating_add(BATCHES_KEPT) >= newest => from.min(batch.rows.len()),
        _ => {
            connected.batch("ROLLBACK").await?;
            return Ok(Progress::Done);
        }
    };
    let until = batch.rows.len().min(from + CHUNK_ROWS);
    let is_done = until == batch.rows.len();
    let rows = &batch.rows[from..until];
    let workspaces = workspaces_of(connected, rows).await?;
    let mut statements = sums(rows, &workspaces);
    statements.push((sql::ADD_LEDGER, ledger(rows)));
    statements.push((sql::ADD_ORIGINS, origins(rows)));
    statements.push((sql::PUT_LAST_USED, last_used(rows)));
    let mut end = mine();
    end.extend(params![(!is_done).then_some(until)]);
    statements.push((sql::PUT_BATCH, end));
    let oldest = batch.batch.saturating_sub(BATCHES_KEPT);
    statements.push((sql::PRUNE_BATCHES, params![batch.incarnation, oldest]));
    // Sent together, answered in order.
    let writes = statements.into_iter().map(|(statement, values)| connected.execute(statement, values));
    futures_util::future::try_join_all(writes).await?;
    connected.batch("COMMIT").await?;
    Ok(if is_done { Progress::Done } else { Progress::More })
}

async fn workspaces_of(connected: &Connected, rows: &[UsageRow]) -> Result<HashMap<u32, u32>, Fault> {
    let mut keys: Vec<u32> = rows.iter().map(|row| row.key.0).collect();
    keys.dedup();
    let found = connected.query(sql::WORKSPACES_OF, params![keys]).await?;
    found.iter().map(|row| Ok((number(row, 0)?, number(row, 1)?))).collect()
}

/// Count and cost by key or workspace, bucket and code.
type Sums = BTreeMap<(u32, i64, Code), (u64, u64)>;

fn sums(rows: &[UsageRow], workspaces: &HashMap<u32, u32>) -> Vec<(&'static str, Vec<Param>)> {
    let mut statements = Vec::with_capacity(10);
    for granularity in [Granularity::Minute, Granularity::Hour, Granularity::Day] {
        let (mut by_key, mut by_workspace) = (Sums::new(), Sums::new());
        for row in rows {
            let bucket = row.minute.div_euclid(granularity.minutes());
            add(&mut by_key, (row.key.0, bucket, row.code), row);
            if let Some(workspace) = workspaces.get(&row.key.0) {
                add(&mut by_workspace, (*workspace, bucket, row.code), row);
            }
        }
        let (of_keys, of_workspaces) = match granularity {
            Granularity::Minute => (sql::ADD_MINUTE, sql::ADD_WORKSPACE_MINUTE),
            Granularity::Hour => (sql::ADD_HOUR, sql::ADD_WORKSPACE_HOUR),
            Granularity::Day => (sql::ADD_DAY, sql::ADD_WORKSPACE_DAY),
        };
        statements.push((of_keys, columns(&by_key)));
        statements.push((of_workspaces, columns(&by_workspace)));
    }
    statements
}

fn add(sums: &mut Sums, place: (u32, i64, Code), row: &UsageRow) {
    let (count, cost) = sums.entry(place).or_default();
    *count += row.count;
    *cost += row.cost;
}

fn columns(sums: &Sums) -> Vec<Param> {
    let each = || sums.iter();
    params![
        each().map(|((owner, ..), _)| *owner).collect::<Vec<_>>(),
        each().map(|((_, bucket, _), _)| *bucket).collect::<Vec<_>>(),
        each().map(|((.., code), _)| i64::from(*code as u8)).collect::<Vec<_>>(),
        each().map(|(_, (count, _))| *count).collect::<Vec<_>>(),
        each().map(|(_, (_, cost))| *cost).collect::<Vec<_>>(),
    ]
}

fn ledger(rows: &[UsageRow]) -> Vec<Param> {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for row in rows {
        let address = address_column(row.address);
        let place = (row.key.0, row.minute, row.secret_ordinal, address, row.route.as_str());
        *counts.entry((place, row.code, row.agent as u8)).or_default() += row.count;
    }
    let each = || counts.iter();
    params![
        each().map(|(((key, ..), ..), _)| *key).collect::<Vec<_>>(),
        each().map(|(((_, minute, ..), ..), _)| *minute).collect::<Vec<_>>(),
        each().map(|(((_, _, ordinal, ..), ..), _)| *ordinal).collect::<Vec<_>>(),
        each().map(|(((_, _, _, address, _), ..), _)| address.clone()).collect::<Vec<_>>(),
        each().map(|(((.., route), ..), _)| *route).collect::<Vec<_>>(),
        each().map(|((_, code, _), _)| i64::from(*code as u8)).collect::<Vec<_>>(),
        each().map(|((.., agent), _)| i64::from(*agent)).collect::<Vec<_>>(),
        each().map(|(_, count)| *count).collect::<Vec<_>>(),
    ]
}

fn origins(rows: &[UsageRow]) -> Vec<Param> {
    let origins = origins_of(rows);
    let each = || origins.iter();
    params![
        each().map(|(key, _)| key.0).collect::<Vec<_>>(),
        each().map(|(_, origin)| network_to_bytes(&origin.network)).collect::<Vec<_>>(),
        each().map(|(_, origin)| origin.first_at).collect::<Vec<_>>(),
        each().map(|(_, origin)| origin.last_at).collect::<Vec<_>>(),
        each().map(|(_, origin)| origin.accepted).collect::<Vec<_>>(),
        each().map(|(_, origin)| origin.refused).collect::<Vec<_>>(),
        caps::ORIGINS_PER_KEY,
    ]
}

/// Only accepted calls are a use: whoever is refused must not keep a forgotten key looking alive.
fn last_used(rows: &[UsageRow]) -> Vec<Param> {
    let mut latest: BTreeMap<(KeyNumber, u16), &UsageRow> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.code == Code::Valid) {
        let place = latest.entry((row.key, row.secret_ordinal)).or_insert(row);
        if row.last_at > place.last_at {
            *place = row;
        }
    }
    let each = || latest.iter();
    params![
        each().map(|((key, _), _)| key.0).collect::<Vec<_>>(),
        each().map(|((_, ordinal), _)| *ordinal).collect::<Vec<_>>(),
        each().map(|(_, row)| row.last_at).collect::<Vec<_>>(),
        each().map(|(_, row)| row.address.map(|known| address_column(Some(known)))).collect::<Vec<_>>(),
        each().map(|(_, row)| i64::from(row.agent as u8)).collect::<Vec<_>>(),
    ]
}
