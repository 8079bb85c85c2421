//! The limit pool: what nodes draw of limit windows, each statement for many windows at once.
//!
//! Two connections of its own, which wait for no commit of anybody: acknowledged draws need not be durable
//! (`synchronous_commit = off`). A server that crashes forgets what was drawn in its last fraction of a second.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use keywright_domain::{
    limits::Algorithm,
    pool::{Counter, Draw, Drawn, Grant, LimitPool, PoolWindow, Return, Subject, smooth_grant},
    store::StoreError,
};
use tokio_postgres::Row;

use crate::{
    connect::{ConnectError, Plan},
    control::line::{Line, Need},
    fault::Fault,
    options::PostgresOptions,
    params,
    rows::number,
    sql::limits as sql,
};

const DRAW_STATEMENTS: &[&str] = &[sql::DRAW, sql::DRAW_SMOOTH];
const OTHER_STATEMENTS: &[&str] = &[sql::GIVE_BACK, sql::PRUNE, sql::PRUNE_SMOOTH, sql::CLOCK];
/// How long connecting may take; several addresses may be tried in it.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a draw may wait for another node's.
const LOCK: Duration = Duration::from_millis(500);
/// Rows stay so long after their window is over, in seconds: clocks step back.
const KEPT_SECONDS: i64 = 600;

/// The columns that name a window.
type Name = [i64; 4];

/// The limit pool in `PostgreSQL`. Used from one runtime: its connections live in the one that asked first.
pub struct PostgresLimits {
    draws: Line,
    others: Line,
}

impl PostgresLimits {
    /// The pool of the store at the same place. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ConnectError::Options`].
    pub fn new(mut options: PostgresOptions) -> Result<Self, ConnectError> {
        options.application_name.push_str(" limits");
        options.connect_timeout = options.connect_timeout.min(CONNECT);
        options.lock_timeout = LOCK;
        let plan = Arc::new(Plan::new(options)?);
        let greeting = || Some("SET synchronous_commit TO off".to_owned());
        Ok(Self {
            draws: Line::new(Arc::clone(&plan), DRAW_STATEMENTS, greeting()),
            others: Line::new(plan, OTHER_STATEMENTS, greeting()),
        })
    }

    async fn draw_sliding(&self, draws: &[Draw]) -> Result<HashMap<PoolWindow, (Grant, i64)>, StoreError> {
        let [scopes, numbers, seconds, slots] = names(draws.iter().map(|draw| draw.window));
        let column = |value: fn(&Draw) -> u64| draws.iter().map(value).collect::<Vec<u64>>();
        let values = params![
            scopes,
            numbers,
            seconds,
            slots,
            column(|draw| draw.limit),
            column(|draw| draw.needed.into()),
            column(|draw| draw.smallest.into()),
            column(|draw| draw.want.into()),
            column(|draw| draw.already.into()),
            column(|draw| draw.nodes.max(1).into()),
        ];
        let rows = self.draws.query(sql::DRAW, values, Need::Answer).await?;
        by_window(draws, &rows, |draw, row| {
            let now_ms = number(row, 8)?;
            let counter = Counter {
                bucket: number(row, 4)?,
                current: number(row, 5)?,
                previous: number(row, 6)?,
                drained_at_ns: 0,
            };
            Ok((counter.grant(draw, number(row, 7)?, u64::try_from(now_ms).unwrap_or(0)), now_ms))
        })
    }

    async fn draw_smooth(&self, draws: &[Draw]) -> Result<HashMap<PoolWindow, (Grant, i64)>, StoreError> {
        let [scopes, numbers, seconds, slots] = names(draws.iter().map(|draw| draw.window));
        let column = |value: fn(&Draw) -> u64| draws.iter().map(value).collect::<Vec<u64>>();
        let values = params![
            scopes,
            numbers,
            seconds,
            slots,
            column(|draw| draw.limit),
            column(|draw| draw.needed.into()),
            column(|draw| draw.smallest.into()),
        ];
        let rows = self.draws.query(sql::DRAW_SMOOTH, values, Need::Answer).await?;
        by_window(draws, &rows, |draw, row| {
            let now_ms = number(row, 6)?;
            let drained_at_ns = number(row, 4)?;
            let grant =
                smooth_grant(draw, number(row, 5)?, drained_at_ns, u64::try_from(now_ms).unwrap_or(0));
            Ok((grant, now_ms))
        })
    }
}

#[async_trait]
impl LimitPool for PostgresLimits {
    async fn draw(&self, draws: Vec<Draw>) -> Result<Drawn, StoreError> {
        let of = |algorithm| -> Vec<Draw> {
            draws.iter().filter(|draw| draw.window.algorithm == algorithm).copied().collect()
        };
        let (sliding, smooth) = (of(Algorithm::Sliding), of(Algorithm::Smooth));
        let ask_sliding = async {
            // Without a question, the clock is the question.
            if sliding.is_empty() && !smooth.is_empty() {
                return Ok(HashMap::new());
            }
            self.draw_sliding(&sliding).await
        };
        let ask_smooth =
            async { if smooth.is_empty() { Ok(HashMap::new()) } else { self.draw_smooth(&smooth).await } };
        let (mut granted, granted_smooth) = futures_util::future::try_join(ask_sliding, ask_smooth).await?;
        granted.extend(granted_smooth);
        let now_ms = granted.values().map(|(_, now_ms)| *now_ms).min().unwrap_or(0);
        let grant = |draw: &Draw| granted.get(&draw.window).map(|(grant, _)| *grant).ok_or_else(lost);
        Ok(Drawn { grants: draws.iter().map(grant).collect::<Result<_, _>>()?, now_ms })
    }

    async fn give_back(&self, units: Vec<Return>) -> Result<(), StoreError> {
        let [scopes, numbers, seconds, slots] = names(units.iter().map(|back| back.window));
        let buckets: Vec<u64> = units.iter().map(|back| back.bucket).collect();
        let counts: Vec<u32> = units.iter().map(|back| back.units).collect();
        let values = params![scopes, numbers, seconds, slots, buckets, counts];
        self.others.query(sql::GIVE_BACK, values, Need::Answer).await?;
        Ok(())
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let rows = self.others.query(sql::CLOCK, params![], Need::Answer).await?;
        let now: i64 = number(rows.first().ok_or_else(lost)?, 0).map_err(Fault::into_store_error)?;
        for statement in [sql::PRUNE, sql::PRUNE_SMOOTH] {
            self.others.query(statement, params![now - KEPT_SECONDS], Need::Answer).await?;
        }
        Ok(())
    }
}

fn lost() -> StoreError {
    StoreError::Internal("a draw has no answer".to_owned())
}

fn name(window: &PoolWindow) -> Name {
    let (scope, number) = match window.subject {
        Subject::Key(number) => (0, number.0),
        Subject::Workspace(number) => (1, number.0),
    };
    [scope, number.into(), window.window_seconds.into(), window.slot.into()]
}

/// The columns that name windows.
fn names(windows: impl Iterator<Item = PoolWindow>) -> [Vec<i64>; 4] {
    let mut columns = [const { Vec::new() }; 4];
    for window in windows {
        columns.iter_mut().zip(name(&window)).for_each(|(column, value)| column.push(value));
    }
    columns
}

/// The answers by window.
fn by_window(
    draws: &[Draw],
    rows: &[Row],
    read: impl Fn(&Draw, &Row) -> Result<(Grant, i64), Fault>,
) -> Result<HashMap<PoolWindow, (Grant, i64)>, StoreError> {
    let asked: HashMap<Name, &Draw> = draws.iter().map(|draw| (name(&draw.window), draw)).collect();
    let answer = |row: &Row| {
        let name = [number(row, 0)?, number(row, 1)?, number(row, 2)?, number(row, 3)?];
        let Some(draw) = asked.get(&name) else { return Ok(None) };
        Ok(Some((draw.window, read(draw, row)?)))
    };
    let answers = rows.iter().filter_map(|row| answer(row).transpose());
    answers.collect::<Result<_, Fault>>().map_err(Fault::into_store_error)
}
