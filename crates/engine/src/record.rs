//! The record of a key: sixteen atomic words, two cache lines, versioned so that no reader sees half a change.
//!
//! | word | content |
//! |---|---|
//! | 0 | version (32 bits, odd while being written), pepper version (16), flags (16) |
//! | 1–4 | digest of the primary secret |
//! | 5, 6 | locator of the primary secret (96), row of further counters (32) |
//! | 7 | expiry in Unix ms (48), ordinal of the primary secret (16) |
//! | 8 | workspace, membership of the creator |
//! | 9 | permission set, limit set of its own (0: the plan's) |
//! | 10 | last use of the primary secret: Unix ms (48), agent class (8) — free-running |
//! | 11, 12 | id |
//! | 13 | cold blob |
//! | 14, 15 | counters of the first limit window — free-running |
//!
//! This is a seqlock (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012) with atomic
//! words throughout, hence without a data race. Free-running words are outside of it: they are counters in their own
//! right, and a change of the key leaves them alone.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use keywright_domain::{environment::Environment, time::Timestamp};
use keywright_keyformat::Locator;

use crate::arena::BlobRef;

/// Words of a record.
pub(crate) const RECORD_WORDS: usize = 16;
/// One record.
pub(crate) type Record = [AtomicU64; RECORD_WORDS];

const META: usize = 0;
const DIGEST: usize = 1;
const LOCATOR: usize = 5;
const EXPIRY: usize = 7;
const OWNERS: usize = 8;
const SETS: usize = 9;
const LAST_USED: usize = 10;
const ID: usize = 11;
const BLOB: usize = 13;
const WINDOW: usize = 14;

/// The expiry of a key that never expires; later than any accepted one.
const NEVER_MS: u64 = (1 << 48) - 1;

const PRESENT: u16 = 1;
const DISABLED: u16 = 1 << 1;
const REVOKED: u16 = 1 << 2;
const HAS_OTHER_SECRETS: u16 = 1 << 3;
const HAS_NETWORKS: u16 = 1 << 4;
const ENVIRONMENT_SHIFT: u32 = 5;

/// What a record says, in a form that code can use.
#[expect(clippy::struct_excessive_bools, reason = "these are independent flags of a record")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) pepper: u16,
    pub(crate) digest: [u8; 32],
    /// Twelve zeroes when no secret is inline.
    pub(crate) locator: [u8; 12],
    pub(crate) ordinal: u16,
    pub(crate) environment: Environment,
    pub(crate) disabled: bool,
    pub(crate) revoked: bool,
    pub(crate) has_other_secrets: bool,
    pub(crate) has_networks: bool,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) workspace: u32,
    pub(crate) membership: u32,
    pub(crate) permissions: u32,
    /// 0 for the plan's.
    pub(crate) limits: u32,
    /// 0 for none.
    pub(crate) counters: u32,
    pub(crate) id: [u8; 16],
    pub(crate) blob: BlobRef,
}

/// A consistent reading of a record, and the version it had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    version: u64,
    pub(crate) facts: Facts,
}

/// Whether a reading still holds. A reader that followed the reading into the cold arena must ask afterwards.
#[inline]
pub(crate) fn still_holds(record: &Record, reading: &Reading) -> bool {
    fence(Acquire);
    record[META].load(Relaxed) == reading.version
}

/// Reads a record; `None` where there is no key.
#[inline]
pub(crate) fn read(record: &Record) -> Option<Reading> {
    let mut attempts = 0_u32;
    loop {
        let version = record[META].load(Acquire);
        if is_even(version) {
            if flags_of(version) & PRESENT == 0 {
                return None;
            }
            let reading = Reading { version, facts: read_facts(record, version) };
            if still_holds(record, &reading) {
                return Some(reading);
            }
        }
        attempts += 1;
        if attempts.is_multiple_of(64) {
            // The writer was interrupted between its two stores of the version.
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

fn is_even(version: u64) -> bool {
    version >> 32 & 1 == 0
}

#[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the flags")]
fn flags_of(version: u64) -> u16 {
    version as u16
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "fields are cut out of words by their width")]
fn read_facts(record: &Record, version: u64) -> Facts {
    let word = |position: usize| record[position].load(Relaxed);
    let flags = flags_of(version);
    let mut digest = [0; 32];
    for (offset, bytes) in digest.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *bytes = word(DIGEST + offset).to_le_bytes();
    }
    let (locator_low, locator_high) = (word(LOCATOR).to_le_bytes(), word(LOCATOR + 1));
    let [a, b, c, d] = (locator_high as u32).to_le_bytes();
    let [l0, l1, l2, l3, l4, l5, l6, l7] = locator_low;
    let expiry = word(EXPIRY);
    let (owners, sets) = (word(OWNERS), word(SETS));
    let id = u128::from(word(ID)) << 64 | u128::from(word(ID + 1));
    Facts {
        pepper: (version >> 16) as u16,
        digest,
        locator: [l0, l1, l2, l3, l4, l5, l6, l7, a, b, c, d],
        ordinal: expiry as u16,
        environment: match flags >> ENVIRONMENT_SHIFT & 3 {
            0 => Environment::Development,
            1 => Environment::Staging,
            2 => Environment::Production,
            _ => Environment::Ci,
        },
        disabled: flags & DISABLED != 0,
        revoked: flags & REVOKED != 0,
        has_other_secrets: flags & HAS_OTHER_SECRETS != 0,
        has_networks: flags & HAS_NETWORKS != 0,
        expires_at: match expiry >> 16 {
            NEVER_MS => None,
            unix_ms => Some(Timestamp::from_unix_ms(unix_ms.cast_signed())),
        },
        workspace: owners as u32,
        membership: (owners >> 32) as u32,
        permissions: sets as u32,
        limits: (sets >> 32) as u32,
        counters: (locator_high >> 32) as u32,
        id: id.to_be_bytes(),
        blob: BlobRef(word(BLOB)),
    }
}

/// Writes a record. Only the one writer calls this. Free-running words stay.
pub(crate) fn write(record: &Record, facts: &Facts) {
    let version = begin(record);
    for (offset, bytes) in facts.digest.as_chunks::<8>().0.iter().enumerate() {
        record[DIGEST + offset].store(u64::from_le_bytes(*bytes), Relaxed);
    }
    let [l0, l1, l2, l3, l4, l5, l6, l7, a, b, c, d] = facts.locator;
    record[LOCATOR].store(u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]), Relaxed);
    let tail = u64::from(u32::from_le_bytes([a, b, c, d]));
    record[LOCATOR + 1].store(tail | u64::from(facts.counters) << 32, Relaxed);
    record[EXPIRY].store(expiry_bits(facts.expires_at) << 16 | u64::from(facts.ordinal), Relaxed);
    record[OWNERS].store(u64::from(facts.workspace) | u64::from(facts.membership) << 32, Relaxed);
    record[SETS].store(u64::from(facts.permissions) | u64::from(facts.limits) << 32, Relaxed);
    let (high, low) = facts.id.split_first_chunk::<8>().expect("an id has 16 bytes");
    record[ID].store(u64::from_be_bytes(*high), Relaxed);
    record[ID + 1].store(u64::from_be_bytes(*low.first_chunk().expect("an id has 16 bytes")), Relaxed);
    record[BLOB].store(facts.blob.0, Relaxed);
    end(record, version, facts.pepper, flags(facts));
}

/// Empties a record, its counters included.
pub(crate) fn clear(record: &Record) {
    let version = begin(record);
    record[DIGEST..].iter().for_each(|word| word.store(0, Relaxed));
    end(record, version, 0, 0);
}

fn expiry_bits(expires_at: Option<Timestamp>) -> u64 {
    expires_at.map_or(NEVER_MS, |at| u64::try_from(at.unix_ms()).unwrap_or(0).min(NEVER_MS - 1))
}

fn flags(facts: &Facts) -> u16 {
    let flag = |set: bool, bit: u16| if set { bit } else { 0 };
    PRESENT
        | flag(facts.disabled, DISABLED)
        | flag(facts.revoked, REVOKED)
        | flag(facts.has_other_secrets, HAS_OTHER_SECRETS)
        | flag(facts.has_networks, HAS_NETWORKS)
        | (facts.environment as u16) << ENVIRONMENT_SHIFT
}

/// Makes the version odd: readers that begin now wait, readers that are under way will notice.
fn begin(record: &Record) -> u32 {
    let meta = record[META].load(Relaxed);
    let version = ((meta >> 32) as u32).wrapping_add(1);
    record[META].store(u64::from(version) << 32 | meta & 0xffff_ffff, Relaxed);
    fence(Release);
    version
}

fn end(record: &Record, version: u32, pepper: u16, flags: u16) {
    let meta = u64::from(version.wrapping_add(1)) << 32 | u64::from(pepper) << 16 | u64::from(flags);
    record[META].store(meta, Release);
}

/// The word for the last use of the primary secret.
#[inline]
pub(crate) fn last_used(record: &Record) -> &AtomicU64 {
    &record[LAST_USED]
}

/// The two words of the first limit window.
#[inline]
pub(crate) fn first_window(record: &Record) -> &[AtomicU64; 2] {
    record[WINDOW..].first_chunk().expect("a record ends with the window's words")
}

impl Facts {
    /// Whether the inline secret has this locator.
    #[inline]
    pub(crate) fn is_primary(&self, locator: &Locator) -> bool {
        self.locator == *locator.as_bytes()
    }

    /// The inline secret's locator, if a secret is inline.
    pub(crate) fn primary_locator(&self) -> Option<Locator> {
        Locator::parse(self.locator).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicBool},
        thread,
    };

    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        [const { AtomicU64::new(0) }; RECORD_WORDS]
    }

    fn facts(seed: u32) -> Facts {
        let bit = |position: u32| seed >> position & 1 == 1;
        let byte = seed.to_le_bytes()[0];
        Facts {
            pepper: seed.to_le_bytes()[0].into(),
            digest: [byte; 32],
            locator: [byte; 12],
            ordinal: u16::from(byte) << 3 | 7,
            environment: Environment::from_u8(byte & 3).unwrap(),
            disabled: bit(0),
            revoked: bit(1),
            has_other_secrets: bit(2),
            has_networks: bit(3),
            expires_at: bit(4).then(|| Timestamp::from_unix_ms(i64::from(seed) << 14)),
            workspace: seed,
            membership: !seed,
            permissions: seed.rotate_left(3),
            limits: seed.rotate_left(5),
            counters: seed.rotate_left(7),
            id: [byte; 16],
            blob: BlobRef(u64::from(seed) << 24 | 64),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seed: u32, earlier: u32) {
            let record = record();
            last_used(&record).store(5, Relaxed);
            write(&record, &facts(earlier));
            write(&record, &facts(seed));
            let reading = read(&record).unwrap();
            prop_assert_eq!(reading.facts, facts(seed));
            prop_assert!(still_holds(&record, &reading));
            prop_assert_eq!(last_used(&record).load(Relaxed), 5, "free-running words stay");
            clear(&record);
            prop_assert!(!still_holds(&record, &reading));
            prop_assert!(read(&record).is_none());
            prop_assert_eq!(last_used(&record).load(Relaxed), 0);
        }
    }

    #[test]
    fn expiry_is_clamped_to_what_fits() {
        let record = record();
        for (given, kept) in [(-1, 0), (0, 0), (1 << 50, (1 << 48) - 2)] {
            write(&record, &Facts { expires_at: Some(Timestamp::from_unix_ms(given)), ..facts(0) });
            assert_eq!(read(&record).unwrap().facts.expires_at, Some(Timestamp::from_unix_ms(kept)));
        }
    }

    #[test]
    fn readers_never_see_half_a_change() {
        let (record, stop) = (Arc::new(record()), Arc::new(AtomicBool::new(false)));
        write(&record, &facts(0));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (record, stop) = (Arc::clone(&record), Arc::clone(&stop));
                thread::spawn(move || {
                    let mut readings = 0_u64;
                    while !stop.load(Relaxed) {
                        let seen = read(&record).unwrap().facts;
                        assert_eq!(seen, facts(seen.workspace));
                        readings += 1;
                    }
                    readings
                })
            })
            .collect();
        for seed in 0..300_000 {
            write(&record, &facts(seed));
        }
        stop.store(true, Relaxed);
        assert!(readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>() > 0);
    }
}
