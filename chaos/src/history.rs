//! What happened to each key, on one clock, and whether that is allowed.
//!
//! For a key that is revoked once, with *w* the revocation: no refusal ends before *w* began (P0), no acceptance starts
//! after *w* returned (P1), no acceptance starts after some refusal ended (P2, in atomic mode). A history is
//! linearizable if and only if all three hold.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use anyhow::Result;
use keywright_chaos::client::Answer;
use parking_lot::{Mutex, RwLock};
use serde_json::json;

/// Nanoseconds since the run began.
pub(crate) type Time = u64;

const NEVER: Time = Time::MAX;

/// One verification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verification {
    pub(crate) key: usize,
    pub(crate) node: usize,
    pub(crate) start: Time,
    pub(crate) end: Time,
    pub(crate) answer: Answer,
}

/// One key.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    revoke_began: AtomicU64,
    revoke_returned: AtomicU64,
    first_refusal_ended: AtomicU64,
}

/// Everything that happened.
pub(crate) struct History {
    begun: Instant,
    keys: RwLock<Vec<Key>>,
    verifications: Mutex<Vec<Verification>>,
    faults: Mutex<Vec<(Time, String)>>,
    violations: Mutex<Vec<String>>,
    is_atomic: bool,
    /// The number of things counted, by kind.
    pub(crate) counts: Counts,
    is_over: AtomicBool,
}

/// What is counted.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) verifications: AtomicU64,
    pub(crate) after_revoke: AtomicU64,
    pub(crate) unavailable: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) revoking: AtomicU64,
    pub(crate) revocations: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) stale_accepts: AtomicU64,
    pub(crate) flip_backs: AtomicU64,
    pub(crate) worst_stale_us: AtomicU64,
}

/// Most violations that are described; all are counted.
const DESCRIBED_MAX: usize = 50;

impl History {
    /// An empty history; `is_atomic`: P2 must hold too.
    pub(crate) fn new(is_atomic: bool) -> Self {
        Self {
            begun: Instant::now(),
            keys: RwLock::default(),
            verifications: Mutex::default(),
            faults: Mutex::default(),
            violations: Mutex::default(),
            is_atomic,
            counts: Counts::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Time {
        Time::try_from(self.begun.elapsed().as_nanos()).unwrap_or(NEVER)
    }

    /// Whether the run is to end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Ends the run.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// A key that was just created.
    pub(crate) fn add_key(&self, id: String, secret: String) -> usize {
        let mut keys = self.keys.write();
        keys.push(Key {
            id,
            secret,
            revoke_began: AtomicU64::new(NEVER),
            revoke_returned: AtomicU64::new(NEVER),
            first_refusal_ended: AtomicU64::new(NEVER),
        });
        keys.len() - 1
    }

    /// The secret of a key.
    pub(crate) fn secret(&self, key: usize) -> String {
        self.keys.read()[key].secret.clone()
    }

    /// The first attempt to revoke begins.
    pub(crate) fn revoke_begins(&self, key: usize) {
        self.keys.read()[key].revoke_began.store(self.now(), Relaxed);
    }

    /// A call to revoke has returned with a receipt.
    pub(crate) fn revoke_returned(&self, key: usize) {
        self.keys.read()[key].revoke_returned.store(self.now(), Relaxed);
        self.counts.revocations.fetch_add(1, Relaxed);
    }

    /// A fault begins.
    pub(crate) fn fault(&self, text: String) {
        self.counts.faults.fetch_add(1, Relaxed);
        self.faults.lock().push((self.now(), text));
    }

    /// Notes a verification and judges it.
    pub(crate) fn verified(&self, verification: Verification) {
        let Verification { key, start, end, answer, .. } = verification;
        self.counts.verifications.fetch_add(1, Relaxed);
        let keys = self.keys.read();
        let key = &keys[key];
        let returned = key.revoke_returned.load(Relaxed);
        if start > returned {
            self.counts.after_revoke.fetch_add(1, Relaxed);
        }
        match answer {
            Answer::Accepted if start > returned => {
                self.counts.stale_accepts.fetch_add(1, Relaxed);
                let late_us = (start - returned) / 1_000;
                self.counts.worst_stale_us.fetch_max(late_us, Relaxed);
                self.violation("P1", &verification, key, &format!("accepted {late_us} us after the receipt"));
            }
            Answer::Accepted if start > key.first_refusal_ended.load(Relaxed) => {
                self.counts.flip_backs.fetch_add(1, Relaxed);
                if self.is_atomic {
                    self.violation("P2", &verification, key, "accepted after it was refused");
                }
            }
            Answer::Refused => {
                key.first_refusal_ended.fetch_min(end, Relaxed);
                if end < key.revoke_began.load(Relaxed) {
                    self.violation("P0", &verification, key, "refused before anyone revoked it");
                }
            }
            Answer::Revoking => drop(self.counts.revoking.fetch_add(1, Relaxed)),
            Answer::Unavailable => drop(self.counts.unavailable.fetch_add(1, Relaxed)),
            Answer::Accepted => {}
        }
        drop(keys);
        self.verifications.lock().push(verification);
    }

    fn violation(&self, property: &str, verification: &Verification, key: &Key, text: &str) {
        let mut violations = self.violations.lock();
        if violations.len() < DESCRIBED_MAX {
            violations.push(format!("{property}: {} {text}: {verification:?}", key.id));
        }
    }

    /// What is not allowed and happened.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    /// Whether something happened that is not allowed.
    pub(crate) fn is_violated(&self) -> bool {
        !self.violations.lock().is_empty()
    }

    /// Writes everything down, secrets apart.
    pub(crate) fn write_to(&self, path: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        for (number, key) in self.keys.read().iter().enumerate() {
            let time = |time: &AtomicU64| Some(time.load(Relaxed)).filter(|time| *time != NEVER);
            let line = json!({"key": number, "id": key.id, "revoke_began": time(&key.revoke_began),
                "revoke_returned": time(&key.revoke_returned)});
            writeln!(out, "{line}")?;
        }
        for (at, text) in self.faults.lock().iter() {
            writeln!(out, "{}", json!({"at": at, "fault": text}))?;
        }
        for one in self.verifications.lock().iter() {
            let Verification { key, node, start, end, answer } = one;
            let line = json!({"verified": key, "node": node, "start": start, "end": end,
                "answer": format!("{answer:?}")});
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verification(start: Time, end: Time, answer: Answer) -> Verification {
        Verification { key: 0, node: 0, start, end, answer }
    }

    fn history(is_atomic: bool, began: Time, returned: Time) -> History {
        let history = History::new(is_atomic);
        history.add_key("key_1".to_owned(), String::new());
        let keys = history.keys.read();
        keys[0].revoke_began.store(began, Relaxed);
        keys[0].revoke_returned.store(returned, Relaxed);
        drop(keys);
        history
    }

    #[test]
    fn an_acceptance_that_starts_after_the_receipt_is_a_violation() {
        let history = history(false, 10, 20);
        history.verified(verification(20, 30, Answer::Accepted));
        assert!(!history.is_violated(), "concurrent with the revocation");
        history.verified(verification(21, 30, Answer::Accepted));
        assert!(history.violations()[0].starts_with("P1"));
        assert_eq!(history.counts.stale_accepts.load(Relaxed), 1);
    }

    #[test]
    fn a_refusal_before_the_revocation_is_a_violation() {
        let history = history(false, 10, 20);
        history.verified(verification(5, 10, Answer::Refused));
        assert!(!history.is_violated());
        history.verified(verification(5, 9, Answer::Refused));
        assert!(history.violations()[0].starts_with("P0"));
    }

    #[test]
    fn going_back_is_a_violation_in_atomic_mode_only() {
        for is_atomic in [false, true] {
            let history = history(is_atomic, 10, 100);
            history.verified(verification(11, 15, Answer::Refused));
            history.verified(verification(15, 20, Answer::Accepted));
            assert!(!history.is_violated());
            history.verified(verification(16, 20, Answer::Accepted));
            assert_eq!(history.is_violated(), is_atomic);
            assert_eq!(history.counts.flip_backs.load(Relaxed), 1);
        }
    }
}
