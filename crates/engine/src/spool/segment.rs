//! One segment of the spool: a mapped file of entries in the order of their arrival, and an index in memory.
//!
//! ```text
//! header, 512 words: magic, version and capacity, incarnation (2), number, seed, overflow (count, cost), claimed
//! entry, 8 words:    who (key 32, ordinal 16, code 8, agent 8), when and where (minute 32, route 32), address (2),
//!                    state (published 1, address known 1, last offset in the minute 32), count, cost beyond one per
//!                    call, unused
//! ```
//!
//! A new entry is claimed by adding to a counter, written whole with a count of one, and then made known in the index by
//! a compare-and-swap. Whoever loses that race to an equal entry takes its own count back, and adds to the winner's.
//! So nobody waits for anybody, nobody sees an unfinished entry, and a process killed at any point leaves at most the
//! one count extra of the call it was about to answer. Entries are written in order because that is what memory is good
//! at; what is accessed at random, the index, is an eighth of their size and not in the file: nobody needs it later.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

use keywright_domain::{key::KeyNumber, time::Timestamp, usage::AgentClass, verdict::Code};

use super::{
    RouteId, UsageEvent,
    ready::{self, Ready},
};
use crate::raw::{Pages, WORD_BYTES, Words, prefetch_read};

const MAGIC: u64 = u64::from_le_bytes(*b"KWSPOOL\0");
const VERSION: u64 = 1;
const HEADER_WORDS: usize = 512;
const ENTRY_WORDS: usize = 8;
/// How far from its place an entry may lie in the index before the segment counts as full.
const PROBES_MAX: usize = 64;
/// Low bits of an index word: the entry's position, from 1. The others are of the entry's hash.
const POSITION_BITS: u32 = 24;

const PUBLISHED: u64 = 1 << 63;
const ADDRESS_KNOWN: u64 = 1 << 62;

// Words of the header.
const SHAPE: usize = 1;
const INCARNATION: usize = 2;
const NUMBER: usize = 4;
const SEED: usize = 5;
const OVERFLOW: usize = 6;
const CLAIMED: usize = 8;

// Words of an entry.
const STATE: usize = 4;
const COUNT: usize = 5;
const EXTRA_COST: usize = 6;

/// What a segment's file is called, by its number.
pub(super) const EXTENSION: &str = "usage";

/// What a segment is made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) incarnation: [u8; 16],
    pub(super) number: u64,
    pub(super) capacity: usize,
    /// Keys the hash, so that nobody outside can aim at one place.
    pub(super) seed: u64,
}

/// A mapped segment.
pub(super) struct Segment {
    words: Words,
    /// Open addressing at a load of at most two thirds. Empty in a segment that was only opened for reading.
    index: Words,
    path: PathBuf,
    shape: Shape,
    /// The hash's keys, from the seed.
    keys: [u64; 2],
    ready: Ready,
}

/// Two keys of the hash; odd, so that no multiplication by one loses bits.
fn keys_of(seed: u64) -> [u64; 2] {
    let first = (seed ^ 0x9e37_79b9_7f4a_7c15) | 1;
    [first, (fold(first, 0xd1b5_4a32_d192_ed03) ^ seed.rotate_left(32)) | 1]
}

/// How much of the table new entries may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Up to seven eighths: beyond, the next segment takes over.
    Usual,
    /// All, for entries without detail while there is no next segment.
    Reserve,
}

/// Whether an event was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Counted,
    /// Counted, with the first entry of the segment.
    First,
    Full,
}

impl Recorded {
    /// Counted, with an entry that was claimed for it before.
    #[inline]
    const fn with(claimed: Option<(usize, &Entry)>) -> Self {
        match claimed {
            Some((0, _)) => Self::First,
            _ => Self::Counted,
        }
    }
}

/// How much of a file tells whether it holds counts.
pub(super) const COUNTS_BYTES: usize = (CLAIMED + 1) * WORD_BYTES;

/// Whether a file that begins like this is a segment with counts in it.
pub(super) fn has_counts(header: &[u8; COUNTS_BYTES]) -> bool {
    let word = |place: usize| {
        let bytes = &header[place * WORD_BYTES..(place + 1) * WORD_BYTES];
        // Words of a mapped file are in the machine's own order.
        u64::from_ne_bytes(bytes.try_into().expect("a word has eight bytes"))
    };
    word(0) == MAGIC && (word(CLAIMED) > 0 || word(OVERFLOW) > 0)
}

type Entry = [AtomicU64; ENTRY_WORDS];

fn index_word(hash: u64, position: usize) -> u64 {
    (hash >> POSITION_BITS << POSITION_BITS) | (position as u64 + 1)
}

#[inline]
fn position_of(word: u64) -> Option<usize> {
    let position = (word & ((1 << POSITION_BITS) - 1)) as usize;
    position.checked_sub(1)
}

/// An event's fields as words, and its hash.
struct Packed {
    hash: u64,
    who: u64,
    when_where: u64,
    address: [u64; 2],
    state: u64,
}

/// A row of a segment, read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) event: UsageEvent,
    pub(super) count: u64,
    pub(super) cost: u64,
}

pub(super) fn file_bytes(capacity: usize) -> u64 {
    ((HEADER_WORDS + capacity * ENTRY_WORDS) * WORD_BYTES) as u64
}

/// Both halves of a product, folded together: one multiplication mixes 128 bits well enough for a hash table whose seed
/// nobody outside knows.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are folded together")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded
}

fn address_words(address: Option<IpAddr>) -> [u64; 2] {
    let bits = match address {
        None => 0,
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped().to_bits(),
        Some(IpAddr::V6(v6)) => v6.to_bits(),
    };
    let bytes = bits.to_be_bytes();
    let (high, low) = bytes.split_first_chunk::<8>().expect("16 bytes");
    [u64::from_be_bytes(*high), u64::from_be_bytes(*low.first_chunk().expect("16 bytes"))]
}

impl Segment {
    /// Creates the file with all its space, so that a full disk shows here and not as a signal later.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn create(directory: &Path, shape: Shape) -> io::Result<Self> {
        let path = directory.join(format!("{:020}.{EXTENSION}", shape.number));
        let unfinished = path.with_extension("new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
        let segment = Self::fill(&file, path.clone(), shape).and_then(|segment| {
            fs::rename(&unfinished, &path)?;
            Ok(segment)
        });
        if segment.is_err() {
            // Best effort: what is left is removed at the next start.
            let _ignored = fs::remove_file(&unfinished);
        }
        segment
    }

    fn fill(file: &File, path: PathBuf, shape: Shape) -> io::Result<Self> {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, file_bytes(shape.capacity))?;
        let words = Words::shared(file, HEADER_WORDS + shape.capacity * ENTRY_WORDS)?;
        words[SHAPE].store(VERSION | (shape.capacity as u64) << 32, Relaxed);
        let incarnation = u128::from_be_bytes(shape.incarnation);
        #[expect(clippy::cast_possible_truncation, reason = "cut into two words")]
        for (offset, half) in [(incarnation >> 64) as u64, incarnation as u64].into_iter().enumerate() {
            words[INCARNATION + offset].store(half, Relaxed);
        }
        words[NUMBER].store(shape.number, Relaxed);
        words[SEED].store(shape.seed, Relaxed);
        words[0].store(MAGIC, Release);
        let index_words = shape.capacity + shape.capacity / 2;
        let index =
            Words::anonymous(index_words, if index_words > 1 << 16 { Pages::Huge } else { Pages::Normal });
        let segment = Self { words, index, path, shape, keys: keys_of(shape.seed), ready: Ready::default() };
        if shape.capacity <= ready::AT_ONCE {
            segment.make_ready();
        }
        Ok(segment)
    }

    /// Has the memory of the index and of the next entries there before it is needed. For the background: it may take
    /// milliseconds.
    pub(super) fn make_ready(&self) {
        if let Some(entries) = self.ready.next(self.claimed(), self.shape.capacity) {
            if entries.start == 0 {
                self.index.populate(0..self.index.len());
            }
            let word = |entry: usize| HEADER_WORDS + entry * ENTRY_WORDS;
            self.words.populate(word(entries.start)..word(entries.end));
        }
    }

    /// Opens a segment that an earlier process left behind.
    ///
    /// # Errors
    /// `InvalidData` when the file is no segment of this version, and the file system's errors.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let invalid = |reason: &str| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{reason}: {}", path.display()))
        };
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let header = Words::shared(&file, HEADER_WORDS)?;
        let word = |position: usize| header[position].load(Acquire);
        if word(0) != MAGIC || word(SHAPE) & 0xffff_ffff != VERSION {
            return Err(invalid("not a usage segment of this version"));
        }
        let incarnation = u128::from(word(INCARNATION)) << 64 | u128::from(word(INCARNATION + 1));
        let capacity = usize::try_from(word(SHAPE) >> 32).map_err(|_| invalid("too large"))?;
        let shape = Shape {
            incarnation: incarnation.to_be_bytes(),
            number: word(NUMBER),
            capacity,
            seed: word(SEED),
        };
        let words = Words::shared(&file, HEADER_WORDS + capacity * ENTRY_WORDS)?;
        let index = Words::anonymous(0, Pages::Normal);
        Ok(Self { words, index, path, shape, keys: keys_of(shape.seed), ready: Ready::default() })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        file_bytes(self.shape.capacity)
    }

    /// Entries in use.
    pub(super) fn claimed(&self) -> usize {
        // Threads that find no room may have added beyond.
        usize::try_from(self.words[CLAIMED].load(Relaxed)).unwrap_or(usize::MAX).min(self.shape.capacity)
    }

    /// Events and cost that could not be attributed.
    pub(super) fn overflow(&self) -> (u64, u64) {
        (self.words[OVERFLOW].load(Relaxed), self.words[OVERFLOW + 1].load(Relaxed))
    }

    pub(super) fn count_overflow(&self, cost: u32) {
        self.words[OVERFLOW].fetch_add(1, Relaxed);
        self.words[OVERFLOW + 1].fetch_add(cost.into(), Relaxed);
    }

    /// Writes changed pages back and waits.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.words.sync()
    }

    /// The hash of everything about an event that is known before its key is judged. It is where the event's entry
    /// is looked for, so that the memory can be fetched early.
    #[inline]
    pub(super) fn place_hash(
        &self,
        locator: u64,
        minute: u32,
        address: Option<IpAddr>,
        route: RouteId,
    ) -> u64 {
        let [high, low] = address_words(address);
        let [first, second] = self.keys;
        let when_where = u64::from(minute) << 32 | u64::from(route.0);
        fold(fold(locator ^ first, when_where ^ second) ^ high.rotate_left(17), low ^ second)
    }

    #[inline]
    fn entry(&self, position: usize) -> Option<&Entry> {
        let begin = HEADER_WORDS + position * ENTRY_WORDS;
        self.words.get(begin..begin + ENTRY_WORDS)?.first_chunk()
    }

    #[inline]
    fn place(&self, place_hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "below the index's length")]
        let place = ((u128::from(place_hash) * self.index.len() as u128) >> 64) as usize;
        place
    }

    /// Asks for the cache line where an event's entry is looked for in the index.
    #[inline]
    pub(super) fn prefetch(&self, place_hash: u64) {
        if let Some(word) = self.index.get(self.place(place_hash)) {
            prefetch_read(word);
        }
    }

    /// Asks for the entry that is first in line at an event's place; most often it is the event's.
    #[inline]
    pub(super) fn prefetch_entry(&self, place_hash: u64) {
        let word = self.index.get(self.place(place_hash)).map_or(0, |word| word.load(Relaxed));
        if let Some([first, ..]) = position_of(word).and_then(|position| self.entry(position)) {
            prefetch_read(first);
        }
    }

    /// Counts one event.
    #[inline]
    pub(super) fn record(&self, place_hash: u64, event: &UsageEvent, cost: u32, room: Room) -> Recorded {
        let packed = Packed::new(self.keys[0], place_hash, event);
        let mut place = self.place(place_hash);
        let mut own: Option<(usize, &Entry)> = None;
        for _ in 0..PROBES_MAX {
            let Some(word) = self.index.get(place) else { return Recorded::Full };
            let mut seen = word.load(Acquire);
            if seen == 0 {
                let (position, entry) = match own {
                    Some(own) => own,
                    None => match self.claim(room) {
                        Some(claimed) => claimed,
                        None => return Recorded::Full,
                    },
                };
                packed.write(entry, cost);
                match word.compare_exchange(0, index_word(packed.hash, position), AcqRel, Acquire) {
                    Ok(_) => return Recorded::with(Some((position, entry))),
                    Err(winner) => seen = winner,
                }
                entry[COUNT].store(0, Relaxed);
                own = Some((position, entry));
            }
            if self.add(seen, &packed, cost) {
                return Recorded::with(own);
            }
            place = if place + 1 == self.index.len() { 0 } else { place + 1 };
        }
        Recorded::Full
    }

    /// Adds to the entry of an index word, if it is the event's.
    #[inline]
    fn add(&self, word: u64, packed: &Packed, cost: u32) -> bool {
        if (word ^ packed.hash) >> POSITION_BITS != 0 {
            return false;
        }
        let Some(entry) = position_of(word).and_then(|position| self.entry(position)) else { return false };
        let is_own = packed.is_of(entry);
        if is_own {
            entry[COUNT].fetch_add(1, Relaxed);
            if cost != 1 {
                // Modulo 2⁶⁴, so that a cost of 0 takes one away.
                entry[EXTRA_COST].fetch_add(u64::from(cost).wrapping_sub(1), Relaxed);
            }
        }
        is_own
    }

    /// The next free entry.
    #[inline]
    fn claim(&self, room: Room) -> Option<(usize, &Entry)> {
        let capacity = self.shape.capacity;
        let bound = match room {
            Room::Usual => capacity / 8 * 7,
            Room::Reserve => capacity,
        };
        if self.claimed() >= bound {
            return None;
        }
        let position = usize::try_from(self.words[CLAIMED].fetch_add(1, Relaxed)).ok()?;
        Some((position, self.entry(position)?))
    }

    /// The rows in a range of positions, in the order of their arrival. Only exact when nobody records any more.
    pub(super) fn rows(&self, positions: std::ops::Range<usize>) -> impl Iterator<Item = Row> + '_ {
        positions.filter_map(|position| self.entry(position).and_then(read_row))
    }
}

impl Packed {
    #[inline]
    fn new(key: u64, place_hash: u64, event: &UsageEvent) -> Self {
        let who = u64::from(event.key.0) << 32
            | u64::from(event.secret_ordinal) << 16
            | u64::from(event.code as u8) << 8
            | u64::from(event.agent as u8);
        let minute_ms = u64::from(event.minute()) * 60_000;
        let offset_ms = u64::try_from(event.at.unix_ms()).unwrap_or(0).saturating_sub(minute_ms);
        let known = if event.address.is_some() { ADDRESS_KNOWN } else { 0 };
        Self {
            hash: fold(place_hash ^ who, key),
            who,
            when_where: u64::from(event.minute()) << 32 | u64::from(event.route.0),
            address: address_words(event.address),
            state: PUBLISHED | known | offset_ms.min(0xffff_ffff),
        }
    }

    fn fields(&self) -> [u64; 4] {
        [self.who, self.when_where, self.address[0], self.address[1]]
    }

    /// Writes an entry that nobody else knows yet, counted once.
    #[inline]
    fn write(&self, entry: &Entry, cost: u32) {
        for (word, field) in entry.iter().zip(self.fields()) {
            word.store(field, Relaxed);
        }
        entry[STATE].store(self.state, Relaxed);
        entry[EXTRA_COST].store(u64::from(cost).wrapping_sub(1), Relaxed);
        entry[COUNT].store(1, Release);
    }

    /// Whether the entry is this event's, which it is unless two hashes collided; if so, notes the moment.
    #[inline]
    fn is_of(&self, entry: &Entry) -> bool {
        let state = entry[STATE].load(Relaxed);
        let is_own = entry.iter().zip(self.fields()).all(|(word, field)| word.load(Relaxed) == field)
            && (state ^ self.state) & ADDRESS_KNOWN == 0;
        if is_own && state < self.state {
            // Of two calls in the same instant, the one that is a millisecond older may have the last word.
            entry[STATE].store(self.state, Relaxed);
        }
        is_own
    }
}

fn read_row(entry: &Entry) -> Option<Row> {
    let word = |position: usize| entry[position].load(Acquire);
    let (state, count) = (word(STATE), word(COUNT));
    if state & PUBLISHED == 0 || count == 0 {
        return None;
    }
    let [key @ .., _, _, _, _] = word(0).to_be_bytes();
    let [_, _, _, _, ordinal_high, ordinal_low, code, agent] = word(0).to_be_bytes();
    let [minute @ .., _, _, _, _] = word(1).to_be_bytes();
    let [_, _, _, _, route @ ..] = word(1).to_be_bytes();
    let minute = u32::from_be_bytes(minute);
    let address = u128::from(word(2)) << 64 | u128::from(word(3));
    let offset_ms = i64::from(u32::try_from(state & 0xffff_ffff).expect("masked to 32 bits"));
    let event = UsageEvent {
        key: KeyNumber(u32::from_be_bytes(key)),
        secret_ordinal: u16::from_be_bytes([ordinal_high, ordinal_low]),
        address: (state & ADDRESS_KNOWN != 0)
            .then(|| IpAddr::V6(Ipv6Addr::from_bits(address)).to_canonical()),
        route: RouteId(u32::from_be_bytes(route)),
        code: Code::from_u8(code)?,
        agent: AgentClass::from_u8(agent)?,
        at: Timestamp::from_unix_ms(i64::from(minute) * 60_000 + offset_ms),
    };
    Some(Row { event, count, cost: count.wrapping_add(word(EXTRA_COST)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(capacity: usize) -> Shape {
        Shape { incarnation: [7; 16], number: 3, capacity, seed: 99 }
    }

    fn event(key: u32, address: Option<&str>) -> UsageEvent {
        UsageEvent {
            key: KeyNumber(key),
            secret_ordinal: 0x1234,
            address: address.map(|text| text.parse().unwrap()),
            route: RouteId(5),
            code: Code::RateLimited,
            agent: AgentClass::Bot,
            at: Timestamp::from_unix_ms(1_800_000_012_345),
        }
    }

    fn record(segment: &Segment, event: &UsageEvent, cost: u32, room: Room) -> Recorded {
        let hash = segment.place_hash(event.key.0.into(), event.minute(), event.address, event.route);
        segment.record(hash, event, cost, room)
    }

    fn is_counted(recorded: Recorded) -> bool {
        recorded != Recorded::Full
    }

    #[test]
    fn only_the_first_entry_is_news() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path(), shape(64)).unwrap();
        let recorded = [7, 7, 8].map(|key| record(&segment, &event(key, None), 1, Room::Usual));
        assert_eq!(recorded, [Recorded::First, Recorded::Counted, Recorded::Counted]);
    }

    #[test]
    fn rows_come_back_after_the_segment_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = {
            let segment = Segment::create(directory.path(), shape(64)).unwrap();
            for address in [None, Some("203.0.113.7"), Some("2001:db8::1"), Some("::")] {
                for _ in 0..3 {
                    assert!(is_counted(record(&segment, &event(u32::MAX, address), 2, Room::Usual)));
                }
            }
            let earlier =
                UsageEvent { at: Timestamp::from_unix_ms(1_800_000_000_000), ..event(u32::MAX, None) };
            record(&segment, &earlier, 0, Room::Usual);
            segment.count_overflow(4);
            segment.path().to_owned()
        };
        let segment = Segment::open(path).unwrap();
        assert_eq!((segment.shape().incarnation, segment.shape().number), ([7; 16], 3));
        assert_eq!((segment.claimed(), segment.overflow()), (4, (1, 4)));
        let mut rows: Vec<Row> = segment.rows(0..64).collect();
        rows.sort_by_key(|row| row.event.address);
        let expected = |address, count| Row { event: event(u32::MAX, address), count, cost: 6 };
        assert_eq!(
            rows,
            [
                expected(None, 4),
                expected(Some("203.0.113.7"), 3),
                expected(Some("::"), 3),
                expected(Some("2001:db8::1"), 3)
            ],
            "the latest moment stays"
        );
    }

    #[test]
    fn a_claimed_entry_without_a_count_is_no_row() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path(), shape(64)).unwrap();
        segment.claim(Room::Usual).unwrap();
        assert_eq!(segment.rows(0..64).count(), 0);
        assert_eq!(record(&segment, &event(1, None), 1, Room::Usual), Recorded::Counted);
        assert_eq!(segment.rows(0..64).next(), Some(Row { event: event(1, None), count: 1, cost: 1 }));
        assert_eq!(segment.claimed(), 2);
    }

    #[test]
    fn threads_with_the_same_events_count_each_once() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path(), shape(4_096)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for step in 0..20_000 {
                        assert!(is_counted(record(&segment, &event(step / 40, None), 3, Room::Usual)));
                    }
                });
            }
        });
        let rows: Vec<Row> = segment.rows(0..4_096).collect();
        assert_eq!(rows.len(), 500, "one row each");
        assert!(rows.iter().all(|row| row.count == 160 && row.cost == 480));
    }

    #[test]
    fn full_at_seven_eighths_and_the_reserve_beyond() {
        let directory = tempfile::tempdir().unwrap();
        let segment = Segment::create(directory.path(), shape(4_096)).unwrap();
        let fill =
            |room| (0..5_000).filter(|key| is_counted(record(&segment, &event(*key, None), 1, room))).count();
        assert_eq!(fill(Room::Usual), 3_584);
        assert_eq!(
            record(&segment, &event(0, None), 1, Room::Usual),
            Recorded::Counted,
            "known entries always count"
        );
        assert_eq!(record(&segment, &event(4_999, None), 1, Room::Usual), Recorded::Full);
        assert_eq!(fill(Room::Reserve), 4_096);
        assert_eq!(record(&segment, &event(4_999, None), 1, Room::Reserve), Recorded::Full);
        let counted: u64 = segment.rows(0..4_096).map(|row| row.count).sum();
        assert_eq!(counted, 3_584 + 1 + 4_096);
    }

    #[test]
    fn other_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [("empty", Vec::new()), ("short", vec![1; 100]), ("noise", vec![0xff; 8_192])]
        {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            assert!(Segment::open(path).is_err(), "{name}");
        }
        let path = Segment::create(directory.path(), shape(64)).unwrap().path().to_owned();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(5_000).unwrap();
        assert!(Segment::open(path).is_err(), "truncated");
    }
}
