//! The checker: what clients saw, and whether that may be.

use std::collections::BTreeMap;

/// What a client saw, with moments of the one clock that only the simulation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Revoke { at: u64, key: u8, node: usize },
    Returned { at: u64, key: u8, silent: u32 },
    Verified { started: u64, ended: u64, node: usize, key: u8, answer: Answer },
    Fault { at: u64, kind: &'static str, node: usize, until: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Rejected,
    /// No lease.
    Unavailable,
    /// Atomic mode: neither yes nor no.
    Revoking,
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Rejected before anybody asked for a revocation.
    P0 { key: u8, at: u64 },
    /// Accepted after the revocation returned.
    P1 { key: u8, node: usize, returned: u64, started: u64 },
    /// Accepted after it was rejected.
    P2 { key: u8, node: usize, rejected: u64, started: u64 },
}

pub(crate) struct Judge {
    is_atomic: bool,
    revoked: BTreeMap<u8, u64>,
    pub(crate) returned: BTreeMap<u8, u64>,
    rejected: BTreeMap<u8, u64>,
    pub(crate) late: u64,
    pub(crate) violations: Vec<Violation>,
    pub(crate) history: Vec<Record>,
}

impl Judge {
    pub(crate) const fn new(is_atomic: bool) -> Self {
        Self {
            is_atomic,
            revoked: BTreeMap::new(),
            returned: BTreeMap::new(),
            rejected: BTreeMap::new(),
            late: 0,
            violations: Vec::new(),
            history: Vec::new(),
        }
    }

    pub(crate) fn revokes(&mut self, at: u64, key: u8, node: usize) {
        self.revoked.entry(key).or_insert(at);
        self.history.push(Record::Revoke { at, key, node });
    }

    pub(crate) fn returns(&mut self, at: u64, key: u8, silent: u32) {
        self.returned.entry(key).or_insert(at);
        self.history.push(Record::Returned { at, key, silent });
    }

    pub(crate) fn faults(&mut self, at: u64, kind: &'static str, node: usize, until: u64) {
        self.history.push(Record::Fault { at, kind, node, until });
    }

    pub(crate) fn verified(&mut self, started: u64, ended: u64, node: usize, key: u8, answer: Answer) {
        self.history.push(Record::Verified { started, ended, node, key, answer });
        let returned = self.returned.get(&key).copied().filter(|returned| started > *returned);
        self.late += u64::from(returned.is_some());
        match answer {
            Answer::Accepted => {
                if let Some(returned) = returned {
                    self.violations.push(Violation::P1 { key, node, returned, started });
                }
                let rejected = self.rejected.get(&key).copied().filter(|rejected| started > *rejected);
                if let Some(rejected) = rejected.filter(|_| self.is_atomic) {
                    self.violations.push(Violation::P2 { key, node, rejected, started });
                }
            }
            Answer::Rejected => {
                if self.revoked.get(&key).is_none_or(|revoked| ended < *revoked) {
                    self.violations.push(Violation::P0 { key, at: ended });
                }
                self.rejected.entry(key).or_insert(ended);
            }
            Answer::Unavailable | Answer::Revoking => {}
        }
    }
}
