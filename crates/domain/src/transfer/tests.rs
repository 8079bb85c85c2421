use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use super::*;
use crate::audit::{GENESIS, entry_hash};

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_248_000_000);

/// A store in memory: tables as they are, ordered by their keys' bytes, which is the order of numbers that are not negative.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    tables: BTreeMap<&'static str, BTreeMap<Vec<u8>, Row>>,
    points: BTreeMap<&'static str, ResumePoint>,
    found: Found,
    moved: Option<String>,
    /// Calls that change something, left before one fails.
    left: Option<usize>,
    piece: usize,
}

impl Memory {
    fn put(&self, table: &'static str, row: Row) {
        let key = key(Table::named(table), &row);
        self.0.lock().unwrap().tables.entry(table).or_default().insert(key, row);
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let mut state = self.0.lock().unwrap();
        match &mut state.left {
            Some(0) => return Err(StoreError::Unavailable("ended".to_owned())),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(change(&mut state))
    }

    fn tables(&self) -> BTreeMap<&'static str, BTreeMap<Vec<u8>, Row>> {
        let mut tables = self.0.lock().unwrap().tables.clone();
        tables.retain(|_, rows| !rows.is_empty());
        tables
    }
}

fn key(table: &Table, row: &Row) -> Vec<u8> {
    let mut bytes = Vec::new();
    Row(row.0[..table.key_columns].to_vec()).encode(&mut bytes);
    bytes
}

#[async_trait]
impl RowReader for Memory {
    async fn rows_after(
        &mut self,
        table: &'static Table,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError> {
        let state = self.0.lock().unwrap();
        let after = after.map(|row| key(table, row));
        let rows = state.tables.get(table.name).into_iter().flatten();
        let rows = rows.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        Ok(rows.take(state.piece.max(1)).map(|(_, row)| row.clone()).collect())
    }

    async fn last(&mut self, table: &'static Table) -> Result<Option<Row>, StoreError> {
        let state = self.0.lock().unwrap();
        Ok(state.tables.get(table.name).and_then(|rows| Some(rows.last_key_value()?.1.clone())))
    }
}

#[async_trait]
impl TransferSource for Memory {
    async fn hold(&mut self) -> Result<(), TransferError> {
        Ok(())
    }

    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.0.lock().unwrap().tables.get(table.name).map_or(0, BTreeMap::len)).unwrap())
    }

    async fn moved(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.0.lock().unwrap().moved.clone())
    }

    async fn mark_moved(&mut self, place: &str, _: Timestamp) -> Result<(), StoreError> {
        self.change(|state| state.moved = Some(place.to_owned()))
    }
}

#[async_trait]
impl TransferTarget for Memory {
    async fn inspect(&mut self) -> Result<Found, StoreError> {
        Ok(self.0.lock().unwrap().found)
    }

    async fn begin(&mut self, source: &Identity, _: Timestamp) -> Result<(), StoreError> {
        self.change(|state| {
            state.tables.clear();
            state.points.clear();
            state.found.unfinished = Some(*source);
        })
    }

    async fn resume_point(&mut self, table: &'static Table) -> Result<ResumePoint, StoreError> {
        Ok(self.0.lock().unwrap().points.get(table.name).cloned().unwrap_or_default())
    }

    async fn write(
        &mut self,
        table: &'static Table,
        rows: Vec<Row>,
        point: ResumePoint,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            for row in rows {
                let old = state.tables.entry(table.name).or_default().insert(key(table, &row), row);
                assert!(old.is_none(), "a row of {} was copied twice", table.name);
            }
            state.points.insert(table.name, point);
        })
    }

    async fn discard(&mut self) -> Result<(), StoreError> {
        self.change(|state| {
            let known = state.found.unfinished.as_mut().expect("it was begun");
            known.state = [0; 32];
        })
    }

    async fn finish(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.change(|state| {
            state.found.finished = state.found.unfinished.take().map(|identity| (identity, now));
        })
    }
}

/// A future that never waits.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn transfer(source: &Memory, target: &Memory) -> Result<Report, TransferError> {
    let (mut source, mut target) = (source.clone(), target.clone());
    now_or_never(run(&mut source, &mut target, "elsewhere", NOW, &mut |_| {}))
}

fn audit_row(sequence: u64, previous: &[u8; 32]) -> (Row, [u8; 32]) {
    let body = format!("{{\"n\":{sequence}}}").into_bytes();
    let hash = entry_hash(previous, sequence, &body);
    let text = |text: &str| Value::Text(text.to_owned());
    let number = Value::Integer(i64::try_from(sequence).unwrap());
    let row = vec![number, Value::Blob(hash.to_vec()), Value::Null, text("a"), text("t"), Value::Blob(body)];
    (Row(row), hash)
}

fn installation(seed: u64) -> Memory {
    let memory = Memory::default();
    memory.0.lock().unwrap().piece = 3;
    let mut hash = GENESIS;
    for sequence in 1..=10 {
        let (row, next) = audit_row(sequence, &hash);
        if sequence == 1 && seed > 0 {
            // Another installation: its chain begins with another body.
            let body = format!("{{\"seed\":{seed}}}").into_bytes();
            hash = entry_hash(&GENESIS, 1, &body);
            let mut row = row;
            row.0[1] = Value::Blob(hash.to_vec());
            row.0[5] = Value::Blob(body);
            memory.put("audit", row);
            continue;
        }
        hash = next;
        memory.put("audit", row);
    }
    for number in 1..=7 {
        memory.put(
            "changes",
            Row(vec![
                Value::Integer(number),
                Value::Integer(0),
                Value::Boolean(true),
                Value::Integer(number),
                Value::Null,
            ]),
        );
        memory.put("usage_minute", Row([number, 2, 3, 4, 5].map(Value::Integer).to_vec()));
    }
    memory
}

#[test]
fn every_table_goes_along_and_the_source_is_marked() {
    let (source, target) = (installation(0), Memory::default());
    let report = transfer(&source, &target).unwrap();
    assert_eq!(target.tables(), source.tables());
    assert_eq!((report.moved, report.audit_head.0), (Moved::Now, 10));
    assert_eq!(report.tables.iter().map(|table| table.rows).sum::<u64>(), 24);
    assert_eq!(source.0.lock().unwrap().moved.as_deref(), Some("elsewhere"));
    let again = transfer(&source, &target).unwrap();
    assert_eq!((again.moved, again.tables.len()), (Moved::Before(NOW), 0));
}

#[test]
fn whichever_write_fails_the_next_run_goes_on() {
    for failing in 0.. {
        let (source, target) = (installation(0), Memory::default());
        target.0.lock().unwrap().left = Some(failing);
        let first = transfer(&source, &target);
        target.0.lock().unwrap().left = None;
        let report = transfer(&source, &target).unwrap();
        assert_eq!(target.tables(), source.tables());
        if let Ok(first) = first {
            assert_eq!((first.moved, report.moved), (Moved::Now, Moved::Before(NOW)));
            assert!(failing > 10, "begin, pieces and finish are writes");
            return;
        }
        assert!(matches!(first, Err(TransferError::Target(_))));
        assert_eq!(report.moved, Moved::Now);
    }
}

#[test]
fn a_source_that_cannot_be_marked_is_marked_by_the_next_run() {
    let (source, target) = (installation(0), Memory::default());
    source.0.lock().unwrap().left = Some(0);
    assert!(matches!(transfer(&source, &target), Err(TransferError::Source(_))));
    source.0.lock().unwrap().left = None;
    assert_eq!(transfer(&source, &target).unwrap().moved, Moved::Before(NOW));
    assert!(source.0.lock().unwrap().moved.is_some());
}

#[test]
fn a_source_that_went_on_working_is_copied_anew() {
    let (source, target) = (installation(0), Memory::default());
    target.0.lock().unwrap().left = Some(5);
    transfer(&source, &target).unwrap_err();
    target.0.lock().unwrap().left = None;
    let (.., last) = (1..=10).fold((0, GENESIS), |(_, hash), n| (n, audit_row(n, &hash).1));
    source.put("audit", audit_row(11, &last).0);
    let mut begun = None;
    let mut note = |progress| {
        if let Progress::Begun(beginning, rows) = progress {
            begun = Some((beginning, rows));
        }
    };
    let (mut from, mut to) = (source.clone(), target.clone());
    now_or_never(run(&mut from, &mut to, "elsewhere", NOW, &mut note)).unwrap();
    assert_eq!(begun, Some((Beginning::Restarted, 25)));
    assert_eq!(target.tables(), source.tables());
}

#[test]
fn a_copy_that_differs_is_noticed_and_made_anew() {
    let (source, target) = (installation(0), Memory::default());
    target.0.lock().unwrap().left = Some(4);
    transfer(&source, &target).unwrap_err();
    target.0.lock().unwrap().left = None;
    let mut tables = target.tables();
    let rows = tables.get_mut("changes").unwrap();
    rows.first_entry().unwrap().get_mut().0[2] = Value::Boolean(false);
    target.0.lock().unwrap().tables = tables;
    let error = transfer(&source, &target).unwrap_err();
    assert!(matches!(error, TransferError::Differs { table: "changes", source_rows: 7, target_rows: 7 }));
    assert_eq!(transfer(&source, &target).unwrap().moved, Moved::Now);
    assert_eq!(target.tables(), source.tables());
}

#[test]
fn a_broken_chain_is_not_moved() {
    let (source, target) = (installation(0), Memory::default());
    let (mut row, _) = audit_row(4, &GENESIS);
    row.0[3] = Value::Text("b".to_owned());
    source.put("audit", row);
    assert!(matches!(transfer(&source, &target), Err(TransferError::BrokenChain(4))));
    assert!(source.0.lock().unwrap().moved.is_none());
}

#[test]
fn targets_that_are_refused() {
    let identity = |installation, state| Identity { installation: [installation; 32], state: [state; 32] };
    let mine = identity(1, 1);
    let decide = |found: Found, moved| Beginning::decide(&found, &mine, moved);
    let unfinished = |known| Found { unfinished: Some(known), is_used: true, ..Found::default() };
    let finished = |known| Found { finished: Some((known, NOW)), is_used: true, ..Found::default() };
    assert_eq!(decide(Found::default(), None).unwrap(), Beginning::New);
    assert_eq!(decide(unfinished(mine), None).unwrap(), Beginning::Resumed);
    assert_eq!(decide(unfinished(identity(1, 2)), None).unwrap(), Beginning::Restarted);
    assert_eq!(decide(finished(mine), Some("there")).unwrap(), Beginning::Finished(NOW));
    let refused = |found, moved| decide(found, moved).unwrap_err();
    assert!(matches!(refused(unfinished(identity(2, 1)), None), TransferError::OtherTransfer));
    assert!(matches!(refused(finished(identity(1, 2)), None), TransferError::ChangedSince));
    assert!(matches!(refused(finished(identity(2, 2)), None), TransferError::Used));
    assert!(matches!(refused(Found { is_used: true, ..Found::default() }, None), TransferError::Used));
    for found in [Found::default(), unfinished(mine), unfinished(identity(1, 2))] {
        assert!(matches!(refused(found, Some("there")), TransferError::MovedElsewhere(_)));
    }
    let (source, target) = (installation(0), installation(1));
    target.0.lock().unwrap().found.is_used = true;
    let before = target.tables();
    assert!(matches!(transfer(&source, &target), Err(TransferError::Used)));
    assert_eq!(target.tables(), before);
    assert!(matches!(transfer(&Memory::default(), &Memory::default()), Err(TransferError::NotSetUp)));
}

#[test]
fn rows_whose_texts_have_a_place_of_their_own_in_one_store_are_equal() {
    let ledger = |route: &str| {
        Row(vec![
            Value::Integer(1),
            Value::Integer(2),
            Value::Integer(1),
            Value::Blob(Vec::new()),
            Value::Text(route.to_owned()),
            Value::Integer(0),
            Value::Integer(0),
            Value::Integer(1),
        ])
    };
    let digest = |routes: &[&str]| {
        // The order of this store: that of the list.
        struct Listed(Vec<Row>);
        #[async_trait]
        impl RowReader for Listed {
            async fn rows_after(
                &mut self,
                _: &'static Table,
                after: Option<&Row>,
            ) -> Result<Vec<Row>, StoreError> {
                Ok(if after.is_none() { self.0.clone() } else { Vec::new() })
            }
            async fn last(&mut self, _: &'static Table) -> Result<Option<Row>, StoreError> {
                Ok(None)
            }
        }
        let mut rows = Listed(routes.iter().map(|route| ledger(route)).collect());
        now_or_never(run::digest(&mut rows, Table::named("ledger"), &mut |_| {})).unwrap().sha256
    };
    assert_eq!(digest(&["a\0", "ab"]), digest(&["ab", "a\u{fffd}"]));
    assert_ne!(digest(&["a", "ab"]), digest(&["a", "ac"]));
}

#[test]
fn the_lists_are_in_order() {
    for table in TABLES {
        assert!(table.key_columns > 0 && table.key_columns <= table.columns.len(), "{}", table.name);
        assert!(STAYING_TABLES.iter().all(|(name, _)| *name != table.name), "{}", table.name);
    }
    for (table, column) in DERIVED_COLUMNS {
        assert!(Table::named(table).columns.iter().all(|known| known.name != *column));
    }
}
