//! The atomic mode: between the moment at which this node refuses a key and the one at which every node does, the key is
//! neither accepted nor refused.
//!
//! A restricting change of a key in an atomic workspace leaves behind what the key was before. As long as the change may
//! be unknown to another node, a refusal is compared with that: where the key would have been accepted, the answer is
//! [`Code::Revoking`]. That ends when every node is known to have applied the change, or when no lease from before can
//! be left, counted from when the change was *received* here: to declare others dead, count from receipt.
//!
//! Accepted keys never come here. Refused ones read one counter.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use keywright_domain::{lease::LeaseTerm, verdict::Code};
use keywright_keyformat::Locator;
use parking_lot::RwLock;

use crate::{cold::ColdBytes, record::Facts, verify::FoundSecret};

/// A value by lease term.
pub(crate) type ByTerm<T> = [T; LeaseTerm::ALL.len()];

/// What a key was before a change.
pub(crate) struct Before {
    pub(crate) number: u32,
    pub(crate) facts: Facts,
    pub(crate) cold: Box<[u8]>,
    pub(crate) locators: Vec<Locator>,
}

/// A restricting change of a key that may be unknown to other nodes.
pub(crate) struct Restriction {
    sequence: u64,
    /// On the boot clock.
    until_ns: u64,
    pub(crate) before: Before,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Pending {
    /// How many there are, the load included. Zero nearly always.
    count: AtomicUsize,
    table: RwLock<PendingTable>,
}

#[derive(Default)]
struct PendingTable {
    by_locator: HashMap<Locator, Vec<Arc<Restriction>>>,
    /// In the order of the log.
    all: VecDeque<Arc<Restriction>>,
    loaded: Option<Loaded>,
}

/// The state was loaded up to here: which of its changes are new to other nodes is not known.
#[derive(Clone, Copy)]
struct Loaded {
    sequence: u64,
    until_ns: ByTerm<u64>,
}

/// How a refusal is to be taken.
pub(crate) enum Recent {
    /// These changes of the key may be unknown to other nodes.
    Changes(Vec<Arc<Restriction>>),
    /// Any change of the key may be.
    Load,
    /// None.
    Nothing,
}

/// Whether a refusal with this code may be due to a restricting change of the key.
pub(crate) const fn may_be_recent(code: Code) -> bool {
    matches!(
        code,
        Code::RevokedKey
            | Code::DisabledKey
            | Code::ExpiredKey
            | Code::IpNotAllowed
            | Code::InsufficientPermissions
            | Code::InvalidKey
    )
}

impl Pending {
    /// Whether there is anything at all.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.count.load(Relaxed) != 0
    }

    /// Keeps what a key is before a change that comes now. Called before the change is applied: whoever sees the change
    /// sees this, too.
    pub(crate) fn add(&self, sequence: u64, until_ns: u64, before: Before) {
        let mut table = self.table.write();
        let restriction = Arc::new(Restriction { sequence, until_ns, before });
        for locator in &restriction.before.locators {
            table.by_locator.entry(*locator).or_default().push(Arc::clone(&restriction));
        }
        table.all.push_back(restriction);
        self.count.store(table.count(), Release);
    }

    /// Notes that the state was loaded.
    pub(crate) fn loaded(&self, sequence: u64, until_ns: ByTerm<u64>) {
        let mut table = self.table.write();
        table.loaded = Some(Loaded { sequence, until_ns });
        self.count.store(table.count(), Release);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.table.write() = PendingTable::default();
        self.count.store(0, Release);
    }

    /// Forgets what every node knows: changes up to `stable`, and those whose time is over.
    pub(crate) fn prune(&self, stable: u64, boot_ns: u64) {
        if self.count.load(Acquire) == 0 {
            return;
        }
        let mut table = self.table.write();
        while table.all.front().is_some_and(|first| !first.is_open(stable, boot_ns)) {
            let Some(first) = table.all.pop_front() else { break };
            for locator in &first.before.locators {
                if let Some(same) = table.by_locator.get_mut(locator) {
                    same.retain(|other| !Arc::ptr_eq(other, &first));
                    if same.is_empty() {
                        table.by_locator.remove(locator);
                    }
                }
            }
        }
        let is_open =
            |loaded: &Loaded| LeaseTerm::ALL.iter().any(|term| loaded.is_open(*term, stable, boot_ns));
        table.loaded = table.loaded.filter(is_open);
        self.count.store(table.count(), Release);
    }

    /// What happened lately to the key that has this locator. `wait` is how long its workspace waits.
    pub(crate) fn recent(
        &self,
        locator: &Locator,
        wait: Option<LeaseTerm>,
        stable: u64,
        boot_ns: u64,
    ) -> Recent {
        let table = self.table.read();
        let of_key = table.by_locator.get(locator).map_or(&[][..], Vec::as_slice);
        let open: Vec<_> = of_key.iter().filter(|change| change.is_open(stable, boot_ns)).cloned().collect();
        if !open.is_empty() {
            return Recent::Changes(open);
        }
        let is_loaded = |wait| table.loaded.is_some_and(|loaded| loaded.is_open(wait, stable, boot_ns));
        if wait.is_some_and(is_loaded) { Recent::Load } else { Recent::Nothing }
    }
}

impl PendingTable {
    fn count(&self) -> usize {
        self.all.len() + usize::from(self.loaded.is_some())
    }
}

impl Loaded {
    fn is_open(&self, wait: LeaseTerm, stable: u64, boot_ns: u64) -> bool {
        self.sequence > stable && boot_ns < self.until_ns[wait as usize]
    }
}

impl Restriction {
    fn is_open(&self, stable: u64, boot_ns: u64) -> bool {
        self.sequence > stable && boot_ns < self.until_ns
    }
}

impl Before {
    /// The secret with this locator as it was, with its digest and the pepper's version.
    pub(crate) fn secret(&self, locator: &Locator) -> Option<(FoundSecret, u16, [u8; 32])> {
        if self.facts.is_primary(locator) {
            let secret = FoundSecret::primary(self.facts.ordinal);
            return Some((secret, self.facts.pepper, self.facts.digest));
        }
        let other = ColdBytes::new(&self.cold).others().find(|other| other.locator == *locator)?;
        let secret = FoundSecret {
            ordinal: other.ordinal,
            retired: other.retired,
            expires_at: other.expires_at,
            is_primary: false,
        };
        Some((secret, other.digest.pepper, other.digest.bytes))
    }
}
