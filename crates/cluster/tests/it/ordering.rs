//! Lease before entry, under the memory model, exhaustively (loom).
//!
//! The engine's atomics are those of `std`, and stay so: its hot path is not made generic for a test. What is explored
//! here is the same sequence of accesses, line by line. If one of these changes there, it has to change here:
//!
//! * `crates/engine/src/record.rs`: `begin`, the words of `write`, `end` (the writer's side of the seqlock), `read`,
//!   `read_facts`, `still_holds` (the reader's);
//! * `crates/engine/src/lease.rs`: `Leases::set` (Release), `Leases::read` (Acquire);
//! * `crates/engine/src/verify.rs`: `look_ahead` reads the lease, `verify_ahead` the record after that.

use std::sync::{Arc, Mutex};

use loom::{
    sync::atomic::{
        AtomicU64,
        Ordering::{self, Acquire, Relaxed, Release},
        fence,
    },
    thread,
};

/// How the sequence departs from the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    EntryBeforeLease,
    RelaxedPublish,
    RelaxedPublishWithoutFence,
    RelaxedRead,
    RelaxedReadWithoutFence,
    LeaseBeforeApply,
    NoFenceInWriter,
    NoFenceInReader,
}

/// The version (odd while it is being written) with the flag that says *revoked*, and one word of the rest.
struct Node {
    meta: AtomicU64,
    word: AtomicU64,
    lease: AtomicU64,
}

const REVOKED: u64 = 1;
const VERSION: u64 = 1 << 32;

impl Node {
    fn apply_and_publish(&self, mutant: Option<Mutant>) {
        let is_relaxed = matches!(mutant, Some(Mutant::RelaxedPublish | Mutant::RelaxedPublishWithoutFence));
        let publish: Ordering = if is_relaxed { Relaxed } else { Release };
        if mutant == Some(Mutant::LeaseBeforeApply) {
            self.lease.store(1, publish);
        }
        let meta = self.meta.load(Relaxed);
        self.meta.store(meta + VERSION, Relaxed);
        if !matches!(mutant, Some(Mutant::NoFenceInWriter | Mutant::RelaxedPublishWithoutFence)) {
            fence(Release);
        }
        self.word.store(REVOKED, Relaxed);
        self.meta.store((meta + 2 * VERSION) | REVOKED, Release);
        if mutant != Some(Mutant::LeaseBeforeApply) {
            self.lease.store(1, publish);
        }
    }

    fn lease(&self, mutant: Option<Mutant>) -> bool {
        let is_relaxed = matches!(mutant, Some(Mutant::RelaxedRead | Mutant::RelaxedReadWithoutFence));
        self.lease.load(if is_relaxed { Relaxed } else { Acquire }) == 1
    }

    /// The flag and the word, from one version of the record.
    fn record(&self, mutant: Option<Mutant>) -> (u64, u64) {
        loop {
            let version = self.meta.load(Acquire);
            if (version / VERSION).is_multiple_of(2) {
                let word = self.word.load(Relaxed);
                if !matches!(mutant, Some(Mutant::NoFenceInReader | Mutant::RelaxedReadWithoutFence)) {
                    fence(Acquire);
                }
                if self.meta.load(Relaxed) == version {
                    return (version & REVOKED, word);
                }
            }
            thread::yield_now();
        }
    }
}

/// Every outcome of one verification beside one application of a revocation: whether the lease held, the flag, the word.
fn outcomes(mutant: Option<Mutant>) -> Vec<(bool, u64, u64)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    loom::model(move || {
        let node = loom::sync::Arc::new(Node {
            meta: AtomicU64::new(0),
            word: AtomicU64::new(0),
            lease: AtomicU64::new(0),
        });
        let writer = {
            let node = loom::sync::Arc::clone(&node);
            thread::spawn(move || node.apply_and_publish(mutant))
        };
        let (is_leased, (flag, word)) = if mutant == Some(Mutant::EntryBeforeLease) {
            let record = node.record(mutant);
            (node.lease(mutant), record)
        } else {
            (node.lease(mutant), node.record(mutant))
        };
        writer.join().expect("the writer does not panic");
        let mut seen = into.lock().expect("nobody panics while holding it");
        if !seen.contains(&(is_leased, flag, word)) {
            seen.push((is_leased, flag, word));
        }
    });
    let seen = seen.lock().expect("nobody panics while holding it");
    seen.clone()
}

/// The lease that reflects the revocation held, and yet the key was found active.
fn is_stale(outcome: &(bool, u64, u64)) -> bool {
    outcome.0 && outcome.1 != REVOKED
}

/// The words are from two versions.
fn is_torn(outcome: &(bool, u64, u64)) -> bool {
    outcome.1 != outcome.2
}

#[test]
fn whoever_finds_the_lease_finds_what_it_vouches_for() {
    let outcomes = outcomes(None);
    assert!(!outcomes.iter().any(is_stale), "{outcomes:?}");
    assert!(!outcomes.iter().any(is_torn), "{outcomes:?}");
    // All that may happen does.
    for possible in [(false, 0, 0), (false, REVOKED, REVOKED), (true, REVOKED, REVOKED)] {
        assert!(outcomes.contains(&possible), "{possible:?} never happened: {outcomes:?}");
    }
}

#[test]
fn each_departure_is_refuted() {
    for mutant in [
        Mutant::EntryBeforeLease,
        Mutant::RelaxedPublishWithoutFence,
        Mutant::RelaxedReadWithoutFence,
        Mutant::LeaseBeforeApply,
    ] {
        assert!(outcomes(Some(mutant)).iter().any(is_stale), "{mutant:?}");
    }
}

/// The fences inside the seqlock also order a relaxed lease: the writer's puts the odd version before the publication,
/// the reader's makes the second reading of the version see it. The engine does not rely on that: another layout of the
/// record would not have it.
#[test]
fn a_relaxed_lease_is_saved_by_the_fences_of_the_record() {
    for mutant in [Mutant::RelaxedPublish, Mutant::RelaxedRead] {
        assert!(!outcomes(Some(mutant)).iter().any(is_stale), "{mutant:?}");
    }
}

#[test]
fn both_fences_of_the_record_are_needed() {
    for mutant in [Mutant::NoFenceInWriter, Mutant::NoFenceInReader] {
        assert!(outcomes(Some(mutant)).iter().any(is_torn), "{mutant:?}");
    }
}
