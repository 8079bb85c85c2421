//! One sink with its cursor: reads the audit trail from where the sink stands, delivers, moves the cursor.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Context as _;
use keywright_domain::{audit::StoredEntry, store::Store};
use parking_lot::Mutex;

use super::{
    cursor::{Cursor, Position},
    event::{Addresses, Event},
    format::Format,
    notices::Notices,
    sink::{self, Sink, Written},
};
use crate::{
    config::security::{SinkSettings, Start},
    failure::Failure,
};

/// Audit entries that are delivered at once.
const PIECE: u32 = 200;
/// Pieces of one run; the next one goes on.
const PIECES_PER_RUN: u32 = 50;
/// When the history is another one than the cursor knows, so many entries before its end are delivered again.
const REPEATED_ENTRIES: u64 = 1_000;

/// What became of the events of one sink.
#[derive(Debug, Default)]
pub(crate) struct OutletStats {
    /// Events delivered, those delivered twice counted twice.
    pub(crate) written: AtomicU64,
    /// Deliveries that failed.
    pub(crate) failures: AtomicU64,
    /// Audit entries that the sink has not taken yet.
    pub(crate) lag: AtomicU64,
}

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything was delivered.
    Done,
    /// There is more.
    More,
}

/// A sink, and how far it is.
pub(crate) struct Outlet {
    name: String,
    format: Format,
    addresses: Addresses,
    start: Start,
    cursor: Arc<Cursor>,
    position: Mutex<Option<Position>>,
    sink: Arc<Mutex<Box<dyn Sink>>>,
    notices: Notices,
    stats: OutletStats,
}

impl Outlet {
    /// The sink that the settings describe, where an earlier run left it.
    pub(super) fn open(
        settings: &SinkSettings,
        addresses: Addresses,
        data_dir: &Path,
    ) -> Result<Self, Failure> {
        let cursor = Cursor::of(data_dir, &settings.name.0);
        let position = cursor.read().map_err(|error| {
            Failure::new(crate::failure::Exit::Data, format!("security_events: {}: {error}", settings.name.0))
        })?;
        Ok(Self {
            name: settings.name.0.clone(),
            format: settings.format,
            addresses,
            start: settings.start,
            cursor: Arc::new(cursor),
            position: Mutex::new(position),
            sink: Arc::new(Mutex::new(sink::of(settings)?)),
            notices: Notices::default(),
            stats: OutletStats::default(),
        })
    }

    /// The sink's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What became of its events.
    pub(crate) const fn stats(&self) -> &OutletStats {
        &self.stats
    }

    /// What waits beside the audit trail.
    pub(crate) const fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Delivers what is new, as much as one run takes on.
    ///
    /// # Errors
    /// When the trail cannot be read, or the sink did not take an event: the next run begins there.
    pub(crate) async fn run(&self, store: &dyn Store) -> anyhow::Result<Progress> {
        let ran = self.deliver_all(store).await;
        if ran.is_err() {
            self.stats.failures.fetch_add(1, Relaxed);
        }
        ran
    }

    async fn deliver_all(&self, store: &dyn Store) -> anyhow::Result<Progress> {
        self.deliver_notices().await?;
        let (head, head_hash) = store.audit_head().await.context("the audit trail cannot be read")?;
        let mut position = self.position(Position { sequence: head, hash: head_hash }).await?;
        if position.sequence > head {
            position = self.rewind(store, head).await?;
        }
        for _ in 0..PIECES_PER_RUN {
            self.stats.lag.store(head.saturating_sub(position.sequence), Relaxed);
            if position.sequence >= head {
                return Ok(Progress::Done);
            }
            let entries = store.audit_after(position.sequence, PIECE).await.context("no audit entries")?;
            let Some(first) = entries.first() else { return Ok(Progress::Done) };
            if !position.leads_to(first) {
                position = self.rewind(store, head).await?;
                continue;
            }
            position = self.deliver(&entries).await?;
        }
        Ok(Progress::More)
    }

    /// Where the sink stands. A new one begins at the beginning of the trail, or at its end, `head`.
    async fn position(&self, head: Position) -> anyhow::Result<Position> {
        if let Some(position) = *self.position.lock() {
            return Ok(position);
        }
        let begun = match self.start {
            Start::Beginning => Position::BEGINNING,
            Start::Now => head,
        };
        self.move_to(begun).await?;
        Ok(begun)
    }

    /// On a thread that may wait: a disk that is busy holds up no other job.
    async fn move_to(&self, position: Position) -> anyhow::Result<()> {
        let cursor = Arc::clone(&self.cursor);
        let moved = tokio::task::spawn_blocking(move || cursor.write(position)).await?;
        moved.with_context(|| format!("the cursor of sink {} was not moved", self.name))?;
        *self.position.lock() = Some(position);
        Ok(())
    }

    /// The database is another one than the cursor knows, such as an older copy that was put back: some entries are delivered
    /// again rather than any left out.
    async fn rewind(&self, store: &dyn Store, head: u64) -> anyhow::Result<Position> {
        let sequence = head.saturating_sub(REPEATED_ENTRIES);
        tracing::warn!(
            sink = self.name,
            from = sequence + 1,
            "the audit trail is not the one that was delivered before; its end is delivered again"
        );
        let position = match sequence.checked_sub(1) {
            None => Position::BEGINNING,
            Some(before) => {
                let entry = store.audit_after(before, 1).await.context("no audit entries")?;
                let entry = entry.first().context("an audit entry is missing")?;
                Position { sequence: entry.sequence, hash: entry.hash }
            }
        };
        self.move_to(position).await?;
        Ok(position)
    }

    async fn deliver(&self, entries: &[StoredEntry]) -> anyhow::Result<Position> {
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries {
            let event = Event::of_entry(entry, self.addresses)
                .with_context(|| format!("audit entry {} cannot be read", entry.sequence))?;
            events.extend(event);
        }
        let last = entries.last().context("a piece has entries")?;
        self.hand_over(events).await?;
        let position = Position { sequence: last.sequence, hash: last.hash };
        self.move_to(position).await?;
        Ok(position)
    }

    async fn deliver_notices(&self) -> anyhow::Result<()> {
        let events = self.notices.first(usize::try_from(PIECE).expect("a small number"));
        let count = events.len();
        self.hand_over(events).await?;
        self.notices.confirm(count);
        Ok(())
    }

    /// Delivers events on a thread that may wait.
    async fn hand_over(&self, events: Vec<Event>) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let (sink, format) = (Arc::clone(&self.sink), self.format);
        let count = events.len();
        let delivered = tokio::task::spawn_blocking(move || {
            let written: Vec<_> =
                events.iter().map(|event| Written { event, line: format.line(event) }).collect();
            sink.lock().deliver(&written)
        });
        delivered.await?.with_context(|| format!("sink {} did not take security events", self.name))?;
        self.stats.written.fetch_add(count as u64, Relaxed);
        Ok(())
    }
}
