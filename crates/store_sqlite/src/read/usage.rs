//! Usage and the access ledger.

use keywright_domain::{
    key::KeyNumber,
    time::Timestamp,
    usage::{AgentClass, Granularity, LedgerRow, Origin, UsageBucket, UsageQuery, network_from_bytes},
    verdict::Code,
};
use rusqlite::{Connection, params};

use crate::{
    fault::Fault,
    rows::{
        address,
        installation::{all, first},
        text, time, unreadable, variant,
    },
    sql::usage as sql,
};

/// Usage by bucket; buckets without usage are left out.
pub(crate) fn buckets(connection: &Connection, query: &UsageQuery) -> Result<Vec<UsageBucket>, Fault> {
    let (of_key, of_workspace) = match query.granularity {
        Granularity::Minute => (sql::MINUTES, sql::WORKSPACE_MINUTES),
        Granularity::Hour => (sql::HOURS, sql::WORKSPACE_HOURS),
        Granularity::Day => (sql::DAYS, sql::WORKSPACE_DAYS),
    };
    let (statement, owner) = match query.key {
        None => (of_workspace, query.workspace.0),
        Some(key) => {
            let workspace = first(connection, sql::WORKSPACE_OF, [key.0], |row| Ok(row.get::<_, u32>(0)?))?;
            if workspace != Some(query.workspace.0) {
                return Ok(Vec::new());
            }
            (of_key, key.0)
        }
    };
    let bucket_ms = query.granularity.minutes() * 60_000;
    let from = query.from.unix_ms().div_euclid(bucket_ms);
    // A bucket belongs to the answer if it begins before the end.
    let until = query.until.unix_ms().saturating_add(bucket_ms - 1).div_euclid(bucket_ms);
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params![owner, from, until])?;
    let mut buckets: Vec<UsageBucket> = Vec::new();
    while let Some(row) = rows.next()? {
        let start = Timestamp::from_unix_ms(row.get::<_, i64>(0)? * bucket_ms);
        if buckets.last().is_none_or(|last| last.start != start) {
            buckets.push(UsageBucket { start, by_code: Vec::new(), cost: 0 });
        }
        let bucket = buckets.last_mut().expect("one was pushed");
        bucket.by_code.push((variant(row, 1, Code::from_u8)?, row.get(2)?));
        bucket.cost += row.get::<_, u64>(3)?;
    }
    Ok(buckets)
}

/// The access ledger of one key, newest minute first.
pub(crate) fn ledger(
    connection: &Connection,
    key: KeyNumber,
    before_minute: Option<i64>,
    limit: u32,
) -> Result<Vec<LedgerRow>, Fault> {
    all(connection, sql::LEDGER, params![key.0, before_minute.unwrap_or(i64::MAX), limit], |row| {
        Ok(LedgerRow {
            minute: row.get(0)?,
            secret_ordinal: row.get(1)?,
            address: address(row, 2)?,
            route: text(row, 3)?.to_owned(),
            code: variant(row, 4, Code::from_u8)?,
            agent: variant(row, 5, AgentClass::from_u8)?,
            count: row.get(6)?,
        })
    })
}

/// The networks that a key is used from, those first seen last first.
pub(crate) fn origins(connection: &Connection, key: KeyNumber) -> Result<Vec<Origin>, Fault> {
    let mut origins = all(connection, sql::ORIGINS, [key.0], |row| {
        let network = row.get_ref(0)?.as_blob().ok().and_then(network_from_bytes);
        Ok(Origin {
            network: network.ok_or_else(|| unreadable(row, 0))?,
            first_at: time(row, 1)?,
            last_at: time(row, 2)?,
            accepted: row.get(3)?,
            refused: row.get(4)?,
        })
    })?;
    origins.sort_by_key(|origin| (std::cmp::Reverse(origin.first_at), origin.network));
    Ok(origins)
}

/// Cost of accepted calls by key and minute.
pub(crate) fn recent_cost(connection: &Connection, since: i64) -> Result<Vec<(KeyNumber, i64, u64)>, Fault> {
    all(connection, sql::RECENT_COST, [since], |row| Ok((KeyNumber(row.get(0)?), row.get(1)?, row.get(2)?)))
}
