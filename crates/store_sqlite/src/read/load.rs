//! The whole verification state, at start: two threads read ranges of keys, one of them hands all of them on.

use std::{
    ops::Range,
    sync::{
        atomic::{AtomicI64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use keywright_domain::{
    change::{Change, KeyView, MembershipView, SecretView, WorkspaceView},
    environment::Environment,
    ids::{KeyId, SecretId},
    key::KeyNumber,
    workspace::WorkspaceNumber,
};
use rusqlite::{Connection, Row, Rows, types::ValueRef};

use super::changes;
use crate::{
    fault::Fault,
    rows::{
        bytes, choices,
        installation::{self, all, count},
        keys, members, optional_text, optional_time, permissions, time, variant,
    },
    sql,
};

/// Numbers of keys that a thread takes on at once.
const RANGE: i64 = 4_096;
/// Ranges that may wait to be handed on: memory that is needed for a moment only should be little.
const RANGES_WAITING: usize = 2;

/// Hands everything to `sink` and returns the head of the change log. To be called in a transaction; `assistant`, if
/// there is one, is in a transaction on the same snapshot.
pub(crate) fn load(
    connection: &Connection,
    assistant: Option<&mut Connection>,
    sink: &mut dyn FnMut(Change),
) -> Result<u64, Fault> {
    let sequence = head(connection)?;
    sink(changes::catalogue(connection)?);
    for plan in installation::plans(connection)? {
        sink(Change::Plan(plan));
    }
    for workspace in all(connection, sql::installation::LOAD_WORKSPACES, [], installation::workspace)? {
        sink(Change::Workspace(WorkspaceView::from(&workspace)));
    }
    let opt_outs = choices::opt_outs(connection)?;
    for membership in all(connection, sql::installation::LOAD_MEMBERSHIPS, [], members::membership)? {
        sink(Change::Membership(MembershipView::of(&membership, &opt_outs)));
    }
    sink(changes::operators(connection)?);
    load_keys(connection, assistant, sink)?;
    Ok(sequence)
}

/// The head of the change log.
pub(crate) fn head(connection: &Connection) -> Result<u64, Fault> {
    count(connection, sql::journal::LAST_CHANGE, [])
}

fn load_keys(
    connection: &Connection,
    assistant: Option<&mut Connection>,
    sink: &mut dyn FnMut(Change),
) -> Result<(), Fault> {
    let last = count(connection, sql::keys::LAST_NUMBER, [])?;
    let ranges = Ranges { next: AtomicI64::new(1), end: i64::try_from(last).unwrap_or(i64::MAX - RANGE) + 1 };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(RANGES_WAITING);
        match assistant {
            Some(assistant) => {
                let ranges = &ranges;
                scope.spawn(move || read_ranges(assistant, ranges, &sender));
            }
            None => drop(sender),
        }
        while let Some(range) = ranges.take() {
            read_range(connection, &range, &mut |key| sink(Change::Key(Box::new(key))))?;
            receiver.try_iter().try_for_each(|keys| hand_on(keys, sink))?;
        }
        finish(&receiver, sink)
    })
}

/// What the assistant read.
type ReadKeys = Result<Vec<KeyView>, Fault>;

fn read_ranges(connection: &Connection, ranges: &Ranges, sender: &SyncSender<ReadKeys>) {
    while let Some(range) = ranges.take() {
        let mut keys = Vec::with_capacity(usize::try_from(RANGE).expect("a small number"));
        let done = read_range(connection, &range, &mut |key| keys.push(key));
        let failed = done.is_err();
        // Nobody takes it: the load failed elsewhere.
        if sender.send(done.map(|()| keys)).is_err() || failed {
            return;
        }
    }
}

fn hand_on(keys: ReadKeys, sink: &mut dyn FnMut(Change)) -> Result<(), Fault> {
    keys?.into_iter().for_each(|key| sink(Change::Key(Box::new(key))));
    Ok(())
}

fn finish(receiver: &Receiver<ReadKeys>, sink: &mut dyn FnMut(Change)) -> Result<(), Fault> {
    receiver.iter().try_for_each(|keys| hand_on(keys, sink))
}

/// The ranges that nobody has taken yet.
struct Ranges {
    next: AtomicI64,
    end: i64,
}

impl Ranges {
    fn take(&self) -> Option<Range<i64>> {
        let start = self.next.fetch_add(RANGE, Ordering::Relaxed);
        (start < self.end).then_some(start..start + RANGE)
    }
}

/// One pass over keys and one over secrets, side by side in the order of numbers.
fn read_range(
    connection: &Connection,
    range: &Range<i64>,
    take: &mut dyn FnMut(KeyView),
) -> Result<(), Fault> {
    let mut secrets_statement = connection.prepare_cached(sql::keys::LOAD_SECRETS)?;
    let mut secrets = Secrets { rows: secrets_statement.query([range.start, range.end])?, waiting: None };
    secrets.advance()?;
    let mut statement = connection.prepare_cached(sql::keys::LOAD)?;
    let mut rows = statement.query([range.start, range.end])?;
    while let Some(row) = rows.next()? {
        let mut key = key(row)?;
        key.secrets = secrets.of(key.number)?;
        take(key);
    }
    Ok(())
}

/// The secrets of a range of keys in order, one read ahead.
struct Secrets<'statement> {
    rows: Rows<'statement>,
    waiting: Option<(KeyNumber, SecretView)>,
}

impl Secrets<'_> {
    fn advance(&mut self) -> Result<(), Fault> {
        self.waiting = self.rows.next()?.map(secret).transpose()?;
        Ok(())
    }

    /// The secrets of `key`; those of keys before it belong to deleted ones.
    fn of(&mut self, key: KeyNumber) -> Result<Vec<SecretView>, Fault> {
        let mut secrets = Vec::with_capacity(1);
        while let Some((owner, _)) = &self.waiting
            && *owner <= key
        {
            let (owner, secret) = self.waiting.take().expect("just seen");
            if owner == key {
                secrets.push(secret);
            }
            self.advance()?;
        }
        Ok(secrets)
    }
}

fn secret(row: &Row<'_>) -> Result<(KeyNumber, SecretView), Fault> {
    let view = SecretView {
        ordinal: row.get(1)?,
        id: SecretId::from_bytes(bytes(row, 2)?),
        locator: keys::locator(row, 3)?,
        digest: keys::digest(row, 4)?,
        expires_at: optional_time(row, 6)?,
        retired: row.get_ref(7)? != ValueRef::Null,
        created_at: time(row, 8)?,
    };
    Ok((KeyNumber(row.get(0)?), view))
}

fn key(row: &Row<'_>) -> Result<KeyView, Fault> {
    let mut key = KeyView {
        number: KeyNumber(row.get(0)?),
        id: KeyId::from_bytes(bytes(row, 1)?),
        workspace: WorkspaceNumber(row.get(2)?),
        environment: variant(row, 3, Environment::from_u8)?,
        permissions: permissions(row, 4)?,
        creator: keys::creator(row, 5)?,
        created_at: time(row, 16)?,
        expires_at: None,
        disabled: false,
        revoked: false,
        limits: None,
        networks: Vec::new(),
        external_id: None,
        metadata: keys::metadata(row, 14)?,
        secrets: Vec::new(),
    };
    let is_plain: bool = row.get(15)?;
    if !is_plain {
        key.expires_at = optional_time(row, 8)?;
        key.disabled = row.get_ref(9)? != ValueRef::Null;
        key.revoked = row.get_ref(10)? != ValueRef::Null;
        key.limits = keys::limits(row, 11)?;
        key.networks = keys::networks(row, 12)?;
        key.external_id = optional_text(row, 13)?.map(str::to_owned);
    }
    Ok(key)
}
