//! The usage spool: every verification is counted before it is answered, in memory that survives the process.
//!
//! Counts live in mapped files ([segments](self)), so that `kill -9` loses none; a power failure loses what was counted
//! since the last [`Spool::sync`]. In the background a segment is sealed, handed to the store as idempotent batches,
//! and deleted once the store has confirmed them. A process that starts adopts what its predecessors left behind.
//!
//! The disk space is bounded. When segments cannot be flushed and the bound is reached, entries give up address and
//! route first; when even that has no room, events are counted without attribution ([`Gauges::unattributed`]), never
//! dropped silently.

mod outside;
mod ready;
mod routes;
mod segment;

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::{ArcSwap, Guard};
use keywright_domain::{
    key::KeyNumber,
    time::Timestamp,
    usage::{AgentClass, UsageBatch, UsageRow},
    verdict::Code,
};
use parking_lot::Mutex;

use self::{
    routes::Routes,
    segment::{Recorded, Room, Segment, Shape},
};

pub use self::{outside::counted_segments, routes::RouteId};
use crate::credit::ledger::{Ledger, Slot};

/// Entries of a segment that make up one batch.
const BATCH_ENTRIES: usize = 1 << 16;
/// Shortest and longest time between two seals.
const SEAL_NS: std::ops::RangeInclusive<u64> = 1_000_000_000..=60_000_000_000;
/// A seal is worth its flush if that takes at most this share of the time until the next: whoever verifies on the same
/// processor waits for it.
const FLUSH_SHARE: u64 = 50;

/// One verification, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageEvent {
    /// The key.
    pub key: KeyNumber,
    /// Which of its secrets.
    pub secret_ordinal: u16,
    /// The caller's address, if known.
    pub address: Option<IpAddr>,
    /// The route asked for.
    pub route: RouteId,
    /// The outcome.
    pub code: Code,
    /// The class of the caller's user agent.
    pub agent: AgentClass,
    /// When.
    pub at: Timestamp,
}

impl UsageEvent {
    /// Minutes since the Unix epoch.
    pub(crate) fn minute(&self) -> u32 {
        minute_of(self.at)
    }
}

pub(crate) fn minute_of(at: Timestamp) -> u32 {
    u32::try_from(at.unix_ms().div_euclid(60_000)).unwrap_or(0)
}

/// How a spool is set up.
#[derive(Clone, Copy, Debug)]
pub struct SpoolOptions {
    /// Identifies this process among all that ever used the store; random.
    pub incarnation: [u8; 16],
    /// Keys the hash tables; random.
    pub seed: u64,
    /// Entries of the smallest segment, 64 bytes each and 12 in memory.
    pub entries_min: usize,
    /// Entries of the largest segment, below 2²⁴.
    pub entries_max: usize,
    /// Most bytes on disk.
    pub bytes_max: u64,
    /// Stands for the start of the machine, another one each time: after a crash of the machine, slices of balances count
    /// as spent.
    pub machine_start: u64,
}

impl SpoolOptions {
    /// Segments of 256 KiB to 64 MiB, 1 GiB in all.
    pub const fn new(incarnation: [u8; 16], seed: u64) -> Self {
        Self {
            incarnation,
            seed,
            entries_min: 1 << 12,
            entries_max: 1 << 20,
            bytes_max: 1 << 30,
            machine_start: 0,
        }
    }
}

/// Why a spool cannot be opened or continued.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process uses the directory.
    #[error("another process uses the usage spool at {0}")]
    InUse(PathBuf),
    /// The file system refused.
    #[error("the usage spool at {path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The state of a spool in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Entries in the active segment.
    pub active_entries: u64,
    /// Sealed segments that were not confirmed yet.
    pub sealed_segments: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Events that gave up address and route since the start.
    pub folded: u64,
    /// Events counted without attribution since the start.
    pub unattributed: u64,
    /// Files found damaged at the start and set aside.
    pub damaged_files: u64,
}

/// The usage spool of one process.
pub struct Spool {
    directory: PathBuf,
    options: SpoolOptions,
    active: ArcSwap<Segment>,
    routes: Routes,
    state: Mutex<State>,
    folded: AtomicU64,
    unattributed: AtomicU64,
    damaged_files: u64,
    credits: Ledger,
    /// Slices that an earlier process left, until somebody asks.
    left_slices: Mutex<Vec<Slot>>,
    /// Told when the first event is counted after a time of rest.
    waker: OnceLock<Waker>,
    /// Held for its lock.
    _lock: File,
}

/// Whom to tell that there is something to do. Called on the thread that counts, so it must not wait.
type Waker = Box<dyn Fn() + Send + Sync>;

struct State {
    spare: Option<Segment>,
    /// Replaced, and possibly still being written to.
    retiring: Vec<Arc<Segment>>,
    sealed: VecDeque<Arc<SealedSegment>>,
    next_number: u64,
    next_capacity: usize,
    bytes: u64,
    sealed_at_ns: u64,
    interval_ns: u64,
}

/// A segment that nobody writes to any more.
pub struct SealedSegment {
    segment: Segment,
}

/// Where an event of a key will be counted, looked up before the key is judged so that memory arrives in time.
pub(crate) struct Place {
    segment: Guard<Arc<Segment>>,
    hash: u64,
}

impl Spool {
    /// Opens the spool in `directory`, creating it where needed, and adopts the segments of earlier processes.
    ///
    /// # Errors
    /// [`SpoolError::InUse`] while another process has it open, [`SpoolError::Io`] for what the file system says.
    pub fn open(directory: impl Into<PathBuf>, options: SpoolOptions) -> Result<Self, SpoolError> {
        let directory = directory.into();
        let lock = lock(&directory)?;
        Self::open_locked(&directory, options, lock)
            .map_err(|source| SpoolError::Io { path: directory, source })
    }

    fn open_locked(directory: &Path, options: SpoolOptions, lock: File) -> io::Result<Self> {
        let (adopted, damaged_files) = adopt(directory)?;
        let next_number = adopted.iter().map(|segment| segment.shape().number + 1).max().unwrap_or(1);
        let mut state = State {
            spare: None,
            retiring: Vec::new(),
            bytes: adopted.iter().map(Segment::bytes).sum(),
            sealed: adopted.into_iter().map(|segment| Arc::new(SealedSegment { segment })).collect(),
            next_number,
            next_capacity: options.entries_min,
            sealed_at_ns: 0,
            interval_ns: *SEAL_NS.start(),
        };
        let active = state.create_with(directory, &options, options.entries_min)?;
        let (credits, left_slices) = Ledger::open(directory, options.machine_start)?;
        let spool = Self {
            credits,
            left_slices: Mutex::new(left_slices),
            directory: directory.to_owned(),
            options,
            active: ArcSwap::from_pointee(active),
            routes: Routes::open(directory)?,
            state: Mutex::new(state),
            folded: AtomicU64::new(0),
            unattributed: AtomicU64::new(0),
            damaged_files,
            waker: OnceLock::new(),
            _lock: lock,
        };
        spool.active.load().make_ready();
        spool.prepare_spare(false)?;
        Ok(spool)
    }

    /// What is spent of slices of balances.
    pub(crate) fn credits(&self) -> &Ledger {
        &self.credits
    }

    /// Slices that an earlier process left. The next call finds none.
    pub(crate) fn left_slices(&self) -> Vec<Slot> {
        std::mem::take(&mut *self.left_slices.lock())
    }

    /// The number of a route, by which events name it. New routes are written down; beyond 4,096 of them, and for
    /// names longer than [`keywright_domain::caps::ROUTE_MAX_BYTES`], it is [`RouteId::OTHER`].
    pub fn route(&self, name: &str) -> RouteId {
        self.routes.intern(name)
    }

    /// Where events will be counted that have these things in common.
    #[inline]
    pub(crate) fn place(
        &self,
        locator: u64,
        at: Timestamp,
        address: Option<IpAddr>,
        route: RouteId,
    ) -> Place {
        let segment = self.active.load();
        let hash = segment.place_hash(locator, minute_of(at), address, route);
        segment.prefetch(hash);
        Place { segment, hash }
    }

    /// Counts one event. When this returns, the count survives the process.
    pub fn record(&self, event: &UsageEvent, cost: u32) {
        let place = self.place(u64::from(event.key.0), event.at, event.address, event.route);
        self.record_at(&place, u64::from(event.key.0), event, cost);
    }

    /// Asks for the memory of the entry itself, once the index has arrived.
    #[inline]
    pub(crate) fn approach(place: &Place) {
        place.segment.prefetch_entry(place.hash);
    }

    /// Counts one event at its place; `locator` is what the place was looked up with.
    #[inline]
    pub(crate) fn record_at(&self, place: &Place, locator: u64, event: &UsageEvent, cost: u32) {
        match place.segment.record(place.hash, event, cost, Room::Usual) {
            Recorded::Counted => {}
            Recorded::First => self.wake(),
            Recorded::Full => self.record_elsewhere(&place.segment, locator, event, cost),
        }
    }

    /// Has `waker` called when an event is the first of its segment: after each seal, and so after each time of rest.
    /// Whoever looks after this spool need not look again before that once it was [idle](Self::is_idle), nothing waited to be
    /// flushed, and [`Self::maintain`] did not fail. Only the first call counts.
    pub fn wake_with(&self, waker: impl Fn() + Send + Sync + 'static) {
        // The second is not told of anything, but looks as often as it likes.
        let _first_stays = self.waker.set(Box::new(waker));
    }

    #[cold]
    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker();
        }
    }

    /// The segment is full: on to the next, or, without one, with less detail.
    #[cold]
    fn record_elsewhere(&self, full: &Arc<Segment>, locator: u64, event: &UsageEvent, cost: u32) {
        self.replace(full);
        self.wake();
        let segment = self.active.load();
        let counted = |event: &UsageEvent, room| {
            let hash = segment.place_hash(locator, event.minute(), event.address, event.route);
            segment.record(hash, event, cost, room) != Recorded::Full
        };
        if counted(event, Room::Usual) {
            return;
        }
        let folded =
            UsageEvent { address: None, route: RouteId::OTHER, agent: AgentClass::Unknown, ..*event };
        if counted(&folded, Room::Reserve) {
            self.folded.fetch_add(1, Relaxed);
        } else {
            segment.count_overflow(cost);
            self.unattributed.fetch_add(1, Relaxed);
        }
    }

    /// Puts the spare in place of a full segment, unless another thread has done so. When the background side has not
    /// prepared one in time, it is made now: a short wait once in a while is better than less detail.
    fn replace(&self, full: &Arc<Segment>) {
        let mut state = self.state.lock();
        if !Arc::ptr_eq(full, &self.active.load()) {
            return;
        }
        state.next_capacity = (state.next_capacity * 2).min(self.options.entries_max);
        let spare = state.spare.take().or_else(|| state.create(&self.directory, &self.options).ok());
        let Some(spare) = spare else { return };
        let old = self.active.swap(Arc::new(spare));
        state.retiring.push(old);
    }

    /// Background work that must not wait for the next seal: prepares memory and the spare segment. Call it often
    /// (every 50 ms); it returns at once when nothing is to do.
    ///
    /// # Errors
    /// [`SpoolError::Io`], for instance when the disk is full; the spool goes on with what it has.
    pub fn maintain(&self) -> Result<(), SpoolError> {
        // A full reference, not a guard: this may wait for memory.
        let active = self.active.load_full();
        active.make_ready();
        let is_half_full = active.claimed() * 2 >= active.shape().capacity;
        drop(active);
        self.prepare_spare(is_half_full).map_err(|source| self.io(source))
    }

    fn prepare_spare(&self, is_needed_soon: bool) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.spare.is_none() {
            match state.create(&self.directory, &self.options) {
                Ok(spare) => state.spare = Some(spare),
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(spare) = state.spare.as_ref().filter(|_| is_needed_soon) {
            spare.make_ready();
        }
        Ok(())
    }

    /// Seals what was counted if it is time: after a second while flushing is quick, up to a minute while it is slow.
    /// `boot_ns` is now on the boot clock. Returns whether anything is waiting to be flushed.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when no new segment could be created.
    pub fn seal_if_due(&self, boot_ns: u64) -> Result<bool, SpoolError> {
        {
            let mut state = self.state.lock();
            if boot_ns.saturating_sub(state.sealed_at_ns) < state.interval_ns {
                collect(&mut state);
                return Ok(!state.sealed.is_empty());
            }
            state.sealed_at_ns = boot_ns;
        }
        self.seal()
    }

    /// Seals everything counted so far. Returns whether anything is waiting to be flushed. An event that is being
    /// counted right now may end up in the next segment.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when no new segment could be created; nothing was sealed then.
    pub fn seal(&self) -> Result<bool, SpoolError> {
        let mut state = self.state.lock();
        let active = self.active.load_full();
        let claimed = active.claimed();
        let is_used = claimed > 0 || active.overflow().0 > 0;
        drop(active);
        if is_used {
            let next = match state.spare.take() {
                Some(spare) => Some(spare),
                None => match state.create_for_seal(&self.directory, &self.options) {
                    Ok(next) => Some(next),
                    Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => None,
                    Err(source) => return Err(self.io(source)),
                },
            };
            if let Some(next) = next {
                next.make_ready();
                let old = self.active.swap(Arc::new(next));
                if claimed < old.shape().capacity / 8 {
                    state.next_capacity = (state.next_capacity / 2).max(self.options.entries_min);
                }
                state.retiring.push(old);
            }
        }
        for _ in 0..1_000 {
            collect(&mut state);
            if state.retiring.is_empty() {
                break;
            }
            std::thread::yield_now();
        }
        Ok(!state.sealed.is_empty())
    }

    /// The oldest sealed segment that was not confirmed. It stays until [`Self::confirm`] is called for it.
    pub fn oldest_sealed(&self) -> Option<Arc<SealedSegment>> {
        let mut state = self.state.lock();
        collect(&mut state);
        state.sealed.front().cloned()
    }

    /// Deletes a segment all of whose batches the store has confirmed. `flush_ns` is how long that took, which sets
    /// the pace of seals.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when the file cannot be deleted; flushing it again is harmless.
    pub fn confirm(&self, sealed: &SealedSegment, flush_ns: u64) -> Result<(), SpoolError> {
        let mut state = self.state.lock();
        let number = sealed.segment.shape().number;
        let Some(position) = state.sealed.iter().position(|known| known.segment.shape().number == number)
        else {
            return Ok(());
        };
        fs::remove_file(sealed.segment.path()).map_err(|source| self.io(source))?;
        state.sealed.remove(position);
        state.bytes = state.bytes.saturating_sub(sealed.segment.bytes());
        state.interval_ns = flush_ns.saturating_mul(FLUSH_SHARE).clamp(*SEAL_NS.start(), *SEAL_NS.end());
        Ok(())
    }

    /// The name of a route, as batches carry it.
    pub fn route_name(&self, route: RouteId) -> String {
        self.routes.name(route)
    }

    /// The batches of a sealed segment, in order. Their numbers and rows are the same each time, so a store that has
    /// seen one may ignore it.
    pub fn batches<'a>(&'a self, sealed: &'a SealedSegment) -> impl Iterator<Item = UsageBatch> + 'a {
        let shape = sealed.segment.shape();
        let claimed = sealed.segment.claimed();
        (0..claimed.div_ceil(BATCH_ENTRIES)).filter_map(move |part| {
            let places = part * BATCH_ENTRIES..((part + 1) * BATCH_ENTRIES).min(claimed);
            let rows: Vec<UsageRow> = sealed.segment.rows(places).map(|row| self.usage_row(&row)).collect();
            let batch = shape.number << 16 | part as u64;
            (!rows.is_empty()).then_some(UsageBatch { incarnation: shape.incarnation, batch, rows })
        })
    }

    fn usage_row(&self, row: &segment::Row) -> UsageRow {
        UsageRow {
            key: row.event.key,
            secret_ordinal: row.event.secret_ordinal,
            minute: row.event.minute().into(),
            address: row.event.address,
            route: self.routes.name(row.event.route),
            code: row.event.code,
            agent: row.event.agent,
            count: row.count,
            cost: row.cost,
            last_at: row.event.at,
        }
    }

    /// Writes what was counted to the disk and waits for it: the bound of what a power failure loses.
    ///
    /// # Errors
    /// [`SpoolError::Io`]. The kernel may have dropped the failed pages, so a second success proves nothing.
    pub fn sync(&self) -> Result<(), SpoolError> {
        // A full reference, not a guard: this waits for the disk.
        self.active.load_full().sync().map_err(|source| self.io(source))
    }

    /// Whether nothing was counted since the last seal, so that there is nothing to sync.
    pub fn is_idle(&self) -> bool {
        let active = self.active.load();
        active.claimed() == 0 && active.overflow().0 == 0
    }

    /// The state in numbers.
    pub fn gauges(&self) -> Gauges {
        let state = self.state.lock();
        Gauges {
            active_entries: self.active.load().claimed() as u64,
            sealed_segments: (state.sealed.len() + state.retiring.len()) as u64,
            bytes: state.bytes,
            folded: self.folded.load(Relaxed),
            unattributed: self.unattributed.load(Relaxed),
            damaged_files: self.damaged_files,
        }
    }

    fn io(&self, source: io::Error) -> SpoolError {
        SpoolError::Io { path: self.directory.clone(), source }
    }
}

impl SealedSegment {
    /// Events and cost that could not be attributed to a key.
    pub fn unattributed(&self) -> (u64, u64) {
        self.segment.overflow()
    }
}

impl State {
    /// A new segment, smaller than usual where the bound asks for it; `QuotaExceeded` when not even the smallest fits.
    fn create(&mut self, directory: &Path, options: &SpoolOptions) -> io::Result<Segment> {
        let room = options.bytes_max.saturating_sub(self.bytes);
        let mut capacity = self.next_capacity;
        while segment::file_bytes(capacity) > room {
            capacity /= 2;
            if capacity < options.entries_min {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
        self.create_with(directory, options, capacity)
    }

    /// The segment that takes over at a seal. With nothing else on disk the bound gives way by the smallest segment:
    /// otherwise the active one could never be flushed.
    fn create_for_seal(&mut self, directory: &Path, options: &SpoolOptions) -> io::Result<Segment> {
        match self.create(directory, options) {
            Err(error)
                if error.kind() == io::ErrorKind::QuotaExceeded
                    && self.sealed.is_empty()
                    && self.retiring.is_empty() =>
            {
                self.create_with(directory, options, options.entries_min)
            }
            created => created,
        }
    }

    fn create_with(
        &mut self,
        directory: &Path,
        options: &SpoolOptions,
        capacity: usize,
    ) -> io::Result<Segment> {
        let shape = Shape {
            incarnation: options.incarnation,
            number: self.next_number,
            capacity,
            seed: options.seed,
        };
        let segment = Segment::create(directory, shape)?;
        self.next_number += 1;
        self.bytes += segment.bytes();
        Ok(segment)
    }
}

/// Moves replaced segments that their last writer has left to the sealed ones.
///
/// A writer holds the segment through a guard of the arc-swap, which counts as a reference once the segment is swapped
/// out; so being the only owner means that nobody writes any more.
fn collect(state: &mut State) {
    for segment in std::mem::take(&mut state.retiring) {
        match Arc::try_unwrap(segment) {
            Ok(segment) => state.sealed.push_back(Arc::new(SealedSegment { segment })),
            Err(segment) => state.retiring.push(segment),
        }
    }
}

fn lock(directory: &Path) -> Result<File, SpoolError> {
    let io = |source| SpoolError::Io { path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(io)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join("lock"))
        .map_err(io)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SpoolError::InUse(directory.to_owned())),
        Err(error) => Err(io(error.into())),
    }
}

/// Opens the segments that earlier processes left behind, oldest first. Files that are no segments are set aside
/// under another name; returns their number too.
fn adopt(directory: &Path) -> io::Result<(Vec<Segment>, u64)> {
    let (mut segments, mut damaged_files) = (Vec::new(), 0);
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(segment::EXTENSION) => match Segment::open(path.clone()) {
                Ok(segment) => segments.push(segment),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
                {
                    fs::rename(&path, path.with_extension("damaged"))?;
                    damaged_files += 1;
                }
                Err(error) => return Err(error),
            },
            Some("new") => fs::remove_file(&path)?,
            _ => {}
        }
    }
    segments.sort_by_key(|segment| segment.shape().number);
    Ok((segments, damaged_files))
}
