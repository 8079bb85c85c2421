//! The whole verification state, at start: one snapshot, read in ranges of keys, handed on while the next range is on
//! its way.

use futures_util::StreamExt as _;
use keywright_domain::{
    change::{Change, KeyView, MembershipView, SecretView, WorkspaceView},
    environment::Environment,
    ids::{KeyId, SecretId},
    key::KeyNumber,
    workspace::WorkspaceNumber,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::Row;

use super::changes;
use crate::{
    connect::{Connected, Plan, connect},
    fault::Fault,
    params,
    rows::{
        bytes, choices, each, flag, installation, is_null, keys, members, number, optional_text,
        optional_time, permissions, time, variant,
    },
    sql,
};

/// Numbers of keys that are asked for at once.
const RANGE: i64 = 8_192;
/// Ranges that are on their way at once. Each is held in memory as rows for a moment.
const RANGES_AHEAD: usize = 3;

/// A piece of the state.
pub(crate) enum Piece {
    /// What is not keys.
    Changes(Vec<Change>),
    /// Rows of keys with their secrets. Whoever waits for the load makes keys of them: it has another core.
    Keys(Vec<Row>),
}

/// Sends everything to `pieces` and returns the head of the change log.
pub(crate) async fn load(plan: &Plan, pieces: mpsc::Sender<Piece>) -> Result<u64, Fault> {
    let (connected, _driver) = connect(plan)
        .await
        .map_err(|error| Fault::from(keywright_domain::store::StoreError::Unavailable(error.to_string())))?;
    let patience = plan.options.answer_timeout;
    connected
        .batch(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL work_mem TO '32MB'; \
             SET LOCAL enable_mergejoin TO on; \
             SET LOCAL enable_hashjoin TO on; SET LOCAL enable_nestloop TO off; \
             SET LOCAL idle_in_transaction_session_timeout TO 0",
        )
        .await?;
    let first = timeout(patience, all_but_keys(&connected)).await.map_err(|_| Fault::Silent)?;
    let (sequence, last_key, changes) = first?;
    if pieces.send(Piece::Changes(changes)).await.is_err() {
        return Ok(sequence);
    }
    let starts = (0..).map(|range| 1 + range * RANGE).take_while(|start| *start <= last_key);
    let mut ranges = futures_util::stream::iter(starts)
        .map(|start| connected.query(sql::keys::LOAD, params![start, start + RANGE]))
        .buffered(RANGES_AHEAD);
    while let Some(rows) = timeout(patience, ranges.next()).await.map_err(|_| Fault::Silent)? {
        // Nobody takes it: whoever asked has stopped waiting.
        if pieces.send(Piece::Keys(rows?)).await.is_err() {
            return Ok(sequence);
        }
    }
    drop(ranges);
    connected.batch("COMMIT").await?;
    Ok(sequence)
}

async fn all_but_keys(connected: &Connected) -> Result<(u64, i64, Vec<Change>), Fault> {
    let (head, last_key, permissions, plans, workspaces, memberships, operators, opt_outs) = tokio::try_join!(
        biased;
        connected.first(sql::journal::SEQUENCE, params![]),
        connected.first(sql::keys::LAST_NUMBER, params![]),
        connected.query(sql::installation::PERMISSIONS, params![]),
        connected.query(sql::installation::PLANS, params![]),
        connected.query(sql::installation::LOAD_WORKSPACES, params![]),
        connected.query(sql::installation::LOAD_MEMBERSHIPS, params![]),
        connected.query(sql::installation::OPERATORS, params![]),
        connected.query(sql::privacy::OPT_OUTS, params![]),
    )?;
    let missing = || Fault::Damaged("the table head is empty".to_owned());
    let mut all = vec![changes::catalogue_change(&permissions)?];
    all.extend(each(&plans, installation::plan)?.into_iter().map(Change::Plan));
    let workspaces = each(&workspaces, installation::workspace)?;
    all.extend(workspaces.iter().map(WorkspaceView::from).map(Change::Workspace));
    let memberships = each(&memberships, members::membership)?;
    let opt_outs = choices::opt_outs(&opt_outs)?;
    let views = memberships.iter().map(|membership| MembershipView::of(membership, &opt_outs));
    all.extend(views.map(Change::Membership));
    all.push(changes::operators_change(&operators)?);
    Ok((number(&head.ok_or_else(missing)?, 0)?, number(&last_key.ok_or_else(missing)?, 0)?, all))
}

/// Hands the keys in rows to `sink`.
pub(crate) fn hand_on(rows: &[Row], sink: &mut dyn FnMut(Change)) -> Result<(), Fault> {
    let mut waiting: Option<KeyView> = None;
    for row in rows {
        let at = KeyNumber(number(row, 0)?);
        if waiting.as_ref().is_none_or(|key| key.number != at) {
            let before = waiting.replace(key(row)?);
            if let Some(key) = before {
                sink(Change::Key(Box::new(key)));
            }
        }
        waiting.as_mut().expect("one was put there").secrets.extend(secret(row)?);
    }
    if let Some(key) = waiting {
        sink(Change::Key(Box::new(key)));
    }
    Ok(())
}

fn secret(row: &Row) -> Result<Option<SecretView>, Fault> {
    if is_null(row, 16)? {
        return Ok(None);
    }
    Ok(Some(SecretView {
        ordinal: number(row, 16)?,
        id: SecretId::from_bytes(bytes(row, 17)?),
        locator: keys::locator(row, 18)?,
        digest: keys::digest(row, 19)?,
        expires_at: optional_time(row, 21)?,
        retired: !is_null(row, 22)?,
        created_at: time(row, 24)?,
    }))
}

fn key(row: &Row) -> Result<KeyView, Fault> {
    let mut key = KeyView {
        number: KeyNumber(number(row, 0)?),
        id: KeyId::from_bytes(bytes(row, 1)?),
        workspace: WorkspaceNumber(number(row, 2)?),
        environment: variant(row, 3, Environment::from_u8)?,
        permissions: permissions(row, 4)?,
        creator: keys::creator(row, 5)?,
        created_at: time(row, 23)?,
        expires_at: None,
        disabled: false,
        revoked: false,
        limits: None,
        networks: Vec::new(),
        external_id: None,
        metadata: keys::metadata(row, 14)?,
        secrets: Vec::with_capacity(1),
    };
    let is_plain = flag(row, 15)?;
    if !is_plain {
        key.expires_at = optional_time(row, 8)?;
        key.disabled = !is_null(row, 9)?;
        key.revoked = !is_null(row, 10)?;
        key.limits = keys::limits(row, 11)?;
        key.networks = keys::networks(row, 12)?;
        key.external_id = optional_text(row, 13)?.map(str::to_owned);
    }
    Ok(key)
}
