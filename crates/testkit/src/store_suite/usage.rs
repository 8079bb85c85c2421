//! Usage, last use, the access ledger.

use std::{net::IpAddr, sync::Arc};

use keywright_domain::{
    command::Command,
    key::{ApiKey, KeyChange, KeyNumber},
    query::LastUsed,
    store::Store,
    time::Timestamp,
    usage::{AgentClass, Granularity, LedgerRow, UsageBatch, UsageBucket, UsageQuery, UsageRow},
    verdict::Code,
};

use crate::{Installation, Samples};

/// A minute that begins a day, so that hours and days are easy to tell: 2026-11-21T00:00Z.
const MIDNIGHT: i64 = Samples::NOW.unix_ms() / 86_400_000 * 1_440;

fn row(key: KeyNumber, minute: i64, code: Code, count: u64) -> UsageRow {
    UsageRow {
        key,
        secret_ordinal: 1,
        minute: MIDNIGHT + minute,
        address: Some([192, 0, 2, 1].into()),
        route: "/v1/prompts".to_owned(),
        code,
        agent: AgentClass::Library,
        count,
        cost: if code == Code::Valid { count * 2 } else { 0 },
        last_at: Timestamp::from_unix_ms((MIDNIGHT + minute) * 60_000 + 5),
    }
}

fn batch(batch: u64, rows: Vec<UsageRow>) -> UsageBatch {
    UsageBatch { incarnation: [5; 16], batch, rows }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms((MIDNIGHT + minute) * 60_000)
}

async fn two_keys<S: Store>(store: &Arc<S>) -> (Installation<S>, ApiKey, ApiKey) {
    let installation = Installation::set_up(Arc::clone(store)).await;
    let one = installation.create_key("one").await;
    let two = installation.create_key("two").await;
    (installation, one, two)
}

fn query<S>(
    installation: &Installation<S>,
    key: Option<&ApiKey>,
    granularity: Granularity,
    (from, until): (i64, i64),
) -> UsageQuery {
    UsageQuery {
        workspace: installation.workspace.number,
        key: key.map(|key| key.number),
        granularity,
        from: at(from),
        until: at(until),
    }
}

/// Counts add up by minute, hour and day, for a key and for its workspace.
pub async fn rollups<S: Store>(store: Arc<S>) {
    let (installation, one, two) = two_keys(&store).await;
    let rows = vec![
        row(one.number, 0, Code::Valid, 3),
        row(one.number, 0, Code::RateLimited, 1),
        row(one.number, 59, Code::Valid, 2),
        row(one.number, 60, Code::Valid, 5),
        row(two.number, 0, Code::Valid, 7),
        row(one.number, 1_440, Code::Valid, 11),
    ];
    store.flush_usage(batch(1, rows)).await.unwrap();
    store.flush_usage(batch(2, vec![row(one.number, 0, Code::Valid, 100)])).await.unwrap();
    let bucket = |minute, by_code: &[(Code, u64)], cost| UsageBucket {
        start: at(minute),
        by_code: by_code.to_vec(),
        cost,
    };
    let limited = (Code::RateLimited, 1);
    for (key, granularity, range, expected) in [
        (
            Some(&one),
            Granularity::Minute,
            (0, 60),
            vec![bucket(0, &[(Code::Valid, 103), limited], 206), bucket(59, &[(Code::Valid, 2)], 4)],
        ),
        (Some(&one), Granularity::Minute, (1, 59), vec![]),
        (
            Some(&one),
            Granularity::Hour,
            (30, 61),
            vec![bucket(0, &[(Code::Valid, 105), limited], 210), bucket(60, &[(Code::Valid, 5)], 10)],
        ),
        (
            Some(&one),
            Granularity::Day,
            (0, 1_441),
            vec![bucket(0, &[(Code::Valid, 110), limited], 220), bucket(1_440, &[(Code::Valid, 11)], 22)],
        ),
        (None, Granularity::Day, (0, 1_440), vec![bucket(0, &[(Code::Valid, 117), limited], 234)]),
        (None, Granularity::Hour, (60, 120), vec![bucket(60, &[(Code::Valid, 5)], 10)]),
        (None, Granularity::Minute, (59, 60), vec![bucket(59, &[(Code::Valid, 2)], 4)]),
    ] {
        let query = query(&installation, key, granularity, range);
        assert_eq!(store.usage(query.clone()).await.unwrap(), expected, "{query:?}");
    }
    let mut elsewhere = query(&installation, Some(&one), Granularity::Day, (0, 1_440));
    elsewhere.workspace.0 += 1;
    assert!(store.usage(elsewhere).await.unwrap().is_empty());
    // A deleted key's usage stays a part of its workspace's.
    installation.change(two.id, KeyChange::Delete).await.unwrap();
    store.flush_usage(batch(3, vec![row(two.number, 1, Code::RevokedKey, 1)])).await.unwrap();
    let query = query(&installation, None, Granularity::Minute, (1, 2));
    assert_eq!(store.usage(query).await.unwrap()[0].total(), 1);
}

/// A batch that is sent again, by whatever mistake, counts once; another process's batch of the same number counts.
pub async fn batches_count_once<S: Store>(store: Arc<S>) {
    let (installation, one, _) = two_keys(&store).await;
    let rows = || vec![row(one.number, 0, Code::Valid, 1)];
    for number in [1, 2, 2, 1, 3, 2, 3] {
        store.flush_usage(batch(number, rows())).await.unwrap();
    }
    store.flush_usage(UsageBatch { incarnation: [6; 16], ..batch(1, rows()) }).await.unwrap();
    store.flush_usage(batch(4, Vec::new())).await.unwrap();
    let total = async || {
        let query = query(&installation, Some(&one), Granularity::Day, (0, 1_440));
        store.usage(query).await.unwrap()[0].total()
    };
    assert_eq!(total().await, 4);
    // Long after, the earliest batches are still known to have been added.
    for number in 5..200 {
        store.flush_usage(batch(number, Vec::new())).await.unwrap();
    }
    for number in 1..200 {
        store.flush_usage(batch(number, rows())).await.unwrap();
    }
    assert_eq!(total().await, 4);
    let ledger = store.ledger(one.number, None, 10).await.unwrap();
    assert_eq!(ledger.iter().map(|row| row.count).sum::<u64>(), 4);
}

/// A batch larger than any piece that a store may cut it into, sent twice in different order.
pub async fn large_batches_count_once<S: Store>(store: Arc<S>) {
    let (installation, one, two) = two_keys(&store).await;
    let rows: Vec<_> = (0..12_001)
        .map(|number| {
            row(if number % 2 == 0 { one.number } else { two.number }, number % 1_440, Code::Valid, 1)
        })
        .collect();
    let reversed = rows.iter().rev().cloned().collect();
    let (first, second) =
        tokio::join!(store.flush_usage(batch(1, rows)), store.flush_usage(batch(1, reversed)));
    first.unwrap();
    second.unwrap();
    let query = query(&installation, None, Granularity::Day, (0, 1_440));
    let buckets = store.usage(query).await.unwrap();
    assert_eq!((buckets.len(), buckets[0].total(), buckets[0].cost), (1, 12_001, 24_002));
}

/// The last accepted use of each secret is kept, whatever the order in which uses arrive.
pub async fn last_use<S: Store>(store: Arc<S>) {
    let (installation, one, two) = two_keys(&store).await;
    let second =
        UsageRow { secret_ordinal: 2, agent: AgentClass::Browser, ..row(one.number, 3, Code::Valid, 1) };
    let newer =
        UsageRow { address: Some("2001:db8::1".parse().unwrap()), ..row(one.number, 9, Code::Valid, 1) };
    let refused = row(one.number, 20, Code::RateLimited, 1);
    store.flush_usage(batch(1, vec![newer.clone(), second.clone(), refused])).await.unwrap();
    store.flush_usage(batch(2, vec![row(one.number, 1, Code::Valid, 1)])).await.unwrap();
    let unused = installation.create_key("unused").await.number;
    let refused_only = row(two.number, 1, Code::DisabledKey, 1);
    store.flush_usage(batch(3, vec![refused_only])).await.unwrap();
    let found = store.last_used(vec![one.number, two.number, unused]).await.unwrap();
    let expected = [&newer, &second].map(|row| LastUsed {
        at: row.last_at,
        address: row.address,
        agent: row.agent,
        secret_ordinal: row.secret_ordinal,
    });
    assert_eq!(found.len(), 1);
    assert_eq!(found[&one.number], expected);
}

/// The ledger has one row per minute, secret, address, route, outcome and kind of client.
pub async fn the_ledger<S: Store>(store: Arc<S>) {
    let (_installation, one, two) = two_keys(&store).await;
    let base = row(one.number, 1, Code::Valid, 1);
    let address: IpAddr = "2001:db8::2".parse().unwrap();
    let variants = vec![
        base.clone(),
        UsageRow { address: None, ..base.clone() },
        UsageRow { address: Some(address), ..base.clone() },
        UsageRow { route: "/other".to_owned(), ..base.clone() },
        UsageRow { code: Code::IpNotAllowed, ..base.clone() },
        UsageRow { agent: AgentClass::Bot, ..base.clone() },
        UsageRow { secret_ordinal: 2, ..base.clone() },
        row(one.number, 2, Code::Valid, 4),
        row(two.number, 2, Code::Valid, 9),
    ];
    store.flush_usage(batch(1, variants.clone())).await.unwrap();
    store.flush_usage(batch(2, variants)).await.unwrap();
    let all = store.ledger(one.number, None, 100).await.unwrap();
    assert_eq!(all.len(), 8);
    assert_eq!(all.iter().map(|row| row.count).sum::<u64>(), 22);
    assert!(all.is_sorted_by_key(|row| -row.minute));
    let expected = LedgerRow {
        minute: MIDNIGHT + 2,
        secret_ordinal: 1,
        address: base.address,
        route: base.route,
        code: Code::Valid,
        agent: AgentClass::Library,
        count: 8,
    };
    assert_eq!(all[0], expected);
    assert!(all.iter().any(|row| row.address == Some(address)));
    assert!(all.iter().any(|row| row.address.is_none()));
    assert_eq!(store.ledger(one.number, Some(MIDNIGHT + 2), 3).await.unwrap(), all[1..4]);
}

/// The cost of accepted calls comes back by key and minute.
pub async fn recent_cost<S: Store>(store: Arc<S>) {
    let (installation, one, two) = two_keys(&store).await;
    let rows = vec![
        row(one.number, 0, Code::Valid, 1),
        row(one.number, 5, Code::Valid, 2),
        row(one.number, 5, Code::RateLimited, 50),
        row(two.number, 6, Code::Valid, 3),
    ];
    store.flush_usage(batch(1, rows)).await.unwrap();
    installation.operate(Command::Redigest(Vec::new())).await.unwrap();
    let mut found = store.recent_cost(MIDNIGHT + 5).await.unwrap();
    found.sort_unstable();
    assert_eq!(found, [(one.number, MIDNIGHT + 5, 4), (two.number, MIDNIGHT + 6, 6)]);
    assert!(store.recent_cost(MIDNIGHT + 7).await.unwrap().is_empty());
}
