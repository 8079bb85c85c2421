use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use sha2::{Digest as _, Sha256};

use super::{
    Beginning, Identity, Kind, ResumePoint, Row, RowReader, TABLES, Table, TransferError, TransferSource,
    TransferTarget, Value,
};
use crate::{
    audit::{GENESIS, entry_hash},
    store::StoreError,
    time::Timestamp,
};

/// What a transfer is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It begins, or goes on, with so many rows to copy and then to compare.
    Begun(Beginning, u64),
    /// So many rows of the table are copied, of so many.
    Copying(&'static str, u64, u64),
    /// So many rows of the table are compared, of so many.
    Comparing(&'static str, u64, u64),
    /// All tables are equal; the target becomes one that can be served.
    Finishing,
}

/// What a table came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// Its name.
    pub table: &'static str,
    /// Number of rows.
    pub rows: u64,
    /// SHA-256 of all rows in the order of keys, the same on both sides.
    pub sha256: [u8; 32],
}

/// Whether this run moved the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It did.
    Now,
    /// An earlier one had, at that time.
    Before(Timestamp),
}

/// What a transfer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether this run moved the installation.
    pub moved: Moved,
    /// Tables, in the order in which they were copied; none if nothing was left to do.
    pub tables: Vec<TableReport>,
    /// The last audit entry's sequence number and hash.
    pub audit_head: (u64, [u8; 32]),
}

/// Moves the installation in `source` to `target`, or goes on with it. `place` says where the target is, for whoever looks
/// into the source later. A run after the last one changes nothing and says so.
///
/// # Errors
/// [`TransferError`]; the source is as it was.
pub async fn run(
    source: &mut dyn TransferSource,
    target: &mut dyn TransferTarget,
    place: &str,
    now: Timestamp,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, TransferError> {
    source.hold().await?;
    let identity = Identity::read(source).await.map_err(TransferError::Source)?;
    let identity = identity.ok_or(TransferError::NotSetUp)?;
    let moved = source.moved().await.map_err(TransferError::Source)?;
    let found = target.inspect().await.map_err(TransferError::Target)?;
    let beginning = Beginning::decide(&found, &identity, moved.as_deref())?;
    if let Beginning::Finished(at) = beginning {
        // The run that finished may have ended before it noted that here.
        if moved.is_none() {
            source.mark_moved(place, at).await.map_err(TransferError::Source)?;
        }
        return Ok(Report {
            moved: Moved::Before(at),
            tables: Vec::new(),
            audit_head: audit_head(source).await?,
        });
    }
    if beginning != Beginning::Resumed {
        target.begin(&identity, now).await.map_err(TransferError::Target)?;
    }
    let counts = counts(source).await?;
    progress(Progress::Begun(beginning, counts.iter().sum()));
    for (table, count) in TABLES.iter().zip(&counts) {
        copy(source, target, table, *count, progress).await?;
    }
    let mut tables = Vec::with_capacity(TABLES.len());
    for (table, count) in TABLES.iter().zip(&counts) {
        tables.push(compare(source, target, table, *count, progress).await?);
    }
    progress(Progress::Finishing);
    let audit_head = audit_head(source).await?;
    target.finish(now).await.map_err(TransferError::Target)?;
    source.mark_moved(place, now).await.map_err(TransferError::Source)?;
    Ok(Report { moved: Moved::Now, tables, audit_head })
}

async fn counts(source: &mut dyn TransferSource) -> Result<Vec<u64>, TransferError> {
    let mut counts = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        counts.push(source.count(table).await.map_err(TransferError::Source)?);
    }
    Ok(counts)
}

async fn audit_head(source: &mut dyn TransferSource) -> Result<(u64, [u8; 32]), TransferError> {
    let last = source.last(Table::named("audit")).await.map_err(TransferError::Source)?;
    let head = last.and_then(|row| match row.0.as_slice() {
        [Value::Integer(sequence), Value::Blob(hash), ..] => {
            Some((u64::try_from(*sequence).ok()?, hash.as_slice().try_into().ok()?))
        }
        _ => None,
    });
    head.ok_or_else(|| TransferError::Source(StoreError::Damaged("the last audit entry".to_owned())))
}

/// Copies what is missing of a table. The next piece is read while one is written.
async fn copy(
    source: &mut dyn TransferSource,
    target: &mut dyn TransferTarget,
    table: &'static Table,
    count: u64,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), TransferError> {
    let mut point = target.resume_point(table).await.map_err(TransferError::Target)?;
    progress(Progress::Copying(table.name, point.rows, count));
    let after = (point.rows > 0).then_some(&point.last);
    let mut rows = source.rows_after(table, after).await.map_err(TransferError::Source)?;
    while let Some(last) = key_of_last(table, &rows) {
        point = ResumePoint { rows: point.rows + number_of(&rows), last };
        let written = target.write(table, rows, point.clone());
        let (written, next) = both(written, source.rows_after(table, Some(&point.last))).await;
        written.map_err(TransferError::Target)?;
        progress(Progress::Copying(table.name, point.rows, count));
        rows = next.map_err(TransferError::Source)?;
    }
    Ok(())
}

/// Reads a table on both sides and compares them.
async fn compare(
    source: &mut dyn TransferSource,
    target: &mut dyn TransferTarget,
    table: &'static Table,
    count: u64,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<TableReport, TransferError> {
    let name = table.name;
    let mut tell = |rows| progress(Progress::Comparing(name, rows, count));
    let mut quiet = |_| {};
    let there = Box::pin(digest(source, table, &mut quiet));
    let here = Box::pin(digest(target, table, &mut tell));
    let (there, here) = both(there, here).await;
    let there = there.map_err(TransferError::Source)?;
    let here = here.map_err(TransferError::Target)?;
    if (there.rows, there.sha256) != (here.rows, here.sha256) {
        target.discard().await.map_err(TransferError::Target)?;
        return Err(TransferError::Differs { table: name, source_rows: there.rows, target_rows: here.rows });
    }
    match here.chain.broken_at {
        Some(sequence) => Err(TransferError::BrokenChain(sequence)),
        None => Ok(TableReport { table: name, rows: here.rows, sha256: here.sha256 }),
    }
}

/// What a table's rows come to.
pub(super) struct Digest {
    rows: u64,
    pub(super) sha256: [u8; 32],
    chain: Chain,
}

/// Reads a whole table. The next piece is on its way while one is hashed.
pub(super) async fn digest<R: RowReader + ?Sized>(
    reader: &mut R,
    table: &'static Table,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<Digest, StoreError> {
    let mut hasher = Hasher::new(table);
    let mut rows = reader.rows_after(table, None).await?;
    while let Some(last) = key_of_last(table, &rows) {
        let hashing = Box::pin(async {
            for row in &rows {
                hasher.add(row);
            }
        });
        let (next, ()) = both(reader.rows_after(table, Some(&last)), hashing).await;
        tell(hasher.rows);
        rows = next?;
    }
    Ok(hasher.finish())
}

/// Takes rows in the order of keys.
struct Hasher {
    sha256: Sha256,
    rows: u64,
    chain: Option<Chain>,
    /// How many columns of the key come before its first text, if that is not the very first: rows that are equal in them
    /// are put in the order of their canonical form, because NUL, which not every store can keep, has a place of its own
    /// in the order of those that can.
    group: Option<usize>,
    group_key: Vec<Value>,
    waiting: Vec<Vec<u8>>,
    encoded: Vec<u8>,
}

impl Hasher {
    fn new(table: &Table) -> Self {
        let mut sha256 = Sha256::new();
        sha256.update(format!("keywright transfer 1: {} ({})\n", table.name, table.column_list()));
        let text = table.key().iter().position(|column| column.kind == Kind::Text);
        Self {
            sha256,
            rows: 0,
            chain: (table.name == "audit").then(Chain::default),
            group: text.filter(|columns| *columns > 0),
            group_key: Vec::new(),
            waiting: Vec::new(),
            encoded: Vec::new(),
        }
    }

    fn add(&mut self, row: &Row) {
        self.rows += 1;
        if let Some(chain) = &mut self.chain {
            chain.add(row);
        }
        self.encoded.clear();
        row.encode_canonically(&mut self.encoded);
        let Some(group) = self.group.map(|columns| &row.0[..columns]) else {
            self.sha256.update(&self.encoded);
            return;
        };
        if group != self.group_key {
            self.group_key = group.to_vec();
            self.end_group();
        }
        self.waiting.push(self.encoded.clone());
    }

    fn end_group(&mut self) {
        self.waiting.sort_unstable();
        self.waiting.drain(..).for_each(|row| self.sha256.update(row));
    }

    fn finish(mut self) -> Digest {
        self.end_group();
        Digest {
            rows: self.rows,
            sha256: self.sha256.finalize().into(),
            chain: self.chain.unwrap_or_default(),
        }
    }
}

/// Follows the chain of the audit trail.
struct Chain {
    last: u64,
    hash: [u8; 32],
    /// The first entry that does not follow from those before it.
    broken_at: Option<u64>,
}

impl Default for Chain {
    fn default() -> Self {
        Self { last: 0, hash: GENESIS, broken_at: None }
    }
}

impl Chain {
    fn add(&mut self, row: &Row) {
        self.last += 1;
        let follows = match row.0.as_slice() {
            [Value::Integer(sequence), Value::Blob(hash), .., Value::Blob(body)] => {
                let expected = entry_hash(&self.hash, self.last, body);
                self.hash = expected;
                u64::try_from(*sequence) == Ok(self.last) && *hash == expected
            }
            _ => false,
        };
        if !follows {
            self.broken_at.get_or_insert(self.last);
        }
    }
}

/// The key of the last row; `None`: there is no row.
fn key_of_last(table: &Table, rows: &[Row]) -> Option<Row> {
    rows.last().map(|row| Row(row.0[..table.key_columns].to_vec()))
}

fn number_of(rows: &[Row]) -> u64 {
    u64::try_from(rows.len()).expect("a piece is small")
}

/// Waits for both at once; begins with the first.
async fn both<A, B>(mut first: A, mut second: B) -> (A::Output, B::Output)
where
    A: Future + Unpin,
    B: Future + Unpin,
{
    let (mut of_first, mut of_second) = (None, None);
    poll_fn(move |context| {
        if of_first.is_none()
            && let Poll::Ready(output) = Pin::new(&mut first).poll(context)
        {
            of_first = Some(output);
        }
        if of_second.is_none()
            && let Poll::Ready(output) = Pin::new(&mut second).poll(context)
        {
            of_second = Some(output);
        }
        match (of_first.take(), of_second.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (of_first, of_second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
