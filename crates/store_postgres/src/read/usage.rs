//! Usage and the access ledger.

use keywright_domain::{
    key::KeyNumber,
    time::Timestamp,
    usage::{AgentClass, Granularity, LedgerRow, Origin, UsageBucket, UsageQuery, network_from_bytes},
    verdict::Code,
};

use crate::{
    connect::Connected,
    fault::Fault,
    params,
    rows::{address, blob, each, number, text, time, unreadable, variant},
    sql::usage as sql,
};

/// Usage by bucket; buckets without usage are left out.
pub(crate) async fn buckets(connected: &Connected, query: &UsageQuery) -> Result<Vec<UsageBucket>, Fault> {
    let (of_key, of_workspace) = match query.granularity {
        Granularity::Minute => (sql::MINUTES, sql::WORKSPACE_MINUTES),
        Granularity::Hour => (sql::HOURS, sql::WORKSPACE_HOURS),
        Granularity::Day => (sql::DAYS, sql::WORKSPACE_DAYS),
    };
    let (statement, owner) = match query.key {
        None => (of_workspace, query.workspace.0),
        Some(key) => {
            let workspace = connected.first(sql::WORKSPACE_OF, params![key.0]).await?;
            let workspace = workspace.map(|row| number::<u32>(&row, 0)).transpose()?;
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
    let mut buckets: Vec<UsageBucket> = Vec::new();
    for row in connected.query(statement, params![owner, from, until]).await? {
        let start = Timestamp::from_unix_ms(number::<i64>(&row, 0)? * bucket_ms);
        if buckets.last().is_none_or(|last| last.start != start) {
            buckets.push(UsageBucket { start, by_code: Vec::new(), cost: 0 });
        }
        let bucket = buckets.last_mut().expect("one was pushed");
        bucket.by_code.push((variant(&row, 1, Code::from_u8)?, number(&row, 2)?));
        bucket.cost += number::<u64>(&row, 3)?;
    }
    Ok(buckets)
}

/// The access ledger of one key, newest minute first.
pub(crate) async fn ledger(
    connected: &Connected,
    key: KeyNumber,
    before_minute: Option<i64>,
    limit: u32,
) -> Result<Vec<LedgerRow>, Fault> {
    let parameters = params![key.0, before_minute.unwrap_or(i64::MAX), limit];
    each(&connected.query(sql::LEDGER, parameters).await?, |row| {
        Ok(LedgerRow {
            minute: number(row, 0)?,
            secret_ordinal: number(row, 1)?,
            address: address(row, 2)?,
            route: text(row, 3)?.to_owned(),
            code: variant(row, 4, Code::from_u8)?,
            agent: variant(row, 5, AgentClass::from_u8)?,
            count: number(row, 6)?,
        })
    })
}

/// The networks that a key is used from, those first seen last first.
pub(crate) async fn origins(connected: &Connected, key: KeyNumber) -> Result<Vec<Origin>, Fault> {
    let mut origins = each(&connected.query(sql::ORIGINS, params![key.0]).await?, |row| {
        Ok(Origin {
            network: network_from_bytes(blob(row, 0)?).ok_or_else(|| unreadable(row, 0))?,
            first_at: time(row, 1)?,
            last_at: time(row, 2)?,
            accepted: number(row, 3)?,
            refused: number(row, 4)?,
        })
    })?;
    origins.sort_by_key(|origin| (std::cmp::Reverse(origin.first_at), origin.network));
    Ok(origins)
}

/// Cost of accepted calls by key and minute.
pub(crate) async fn recent_cost(
    connected: &Connected,
    since: i64,
) -> Result<Vec<(KeyNumber, i64, u64)>, Fault> {
    each(&connected.query(sql::RECENT_COST, params![since]).await?, |row| {
        Ok((KeyNumber(number(row, 0)?), number(row, 1)?, number(row, 2)?))
    })
}
