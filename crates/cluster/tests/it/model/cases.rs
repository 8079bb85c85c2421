//! The table: every configuration with what is expected of it.

use std::time::{Duration, Instant};

use keywright_domain::lease::LeaseTerm;
use stateright::Model;

use super::{
    compact::{Mutant as CompactMutant, Protocol},
    explore::{Progress, explore},
    real::{
        Mutant, Planned, World,
        store::Change::{Other, Revoke, Terms},
    },
};

/// Whether a promise is kept in every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    Holds,
    Refuted,
    /// Not part of the configuration.
    Unasked,
}

/// A configuration, and what is expected of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) subject: Subject,
    pub(crate) p1: Promise,
    pub(crate) p2: Promise,
    /// Whether it is small enough for every test run.
    pub(crate) is_short: bool,
}

/// Which model runs.
pub(crate) enum Subject {
    /// The second writing-down of the protocol.
    Compact(Protocol),
    /// The crate's own code.
    Real(Box<World>),
}

/// What the checker found.
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) elapsed: Duration,
    pub(crate) p1: Promise,
    pub(crate) p2: Promise,
    /// What should have been possible and never happened.
    pub(crate) missing: Vec<&'static str>,
    /// The steps that led to a broken promise.
    pub(crate) counterexample: Vec<String>,
}

impl Case {
    /// Explores it: to the end, or to the state that shows that it is not as expected, or that a mutant is refuted.
    pub(crate) fn run(&self, report: impl FnMut(Progress, Duration)) -> Found {
        match &self.subject {
            Subject::Compact(protocol) => self.explore(protocol, report),
            Subject::Real(world) => self.explore(&**world, report),
        }
    }

    /// Whether what was found is what is expected.
    pub(crate) fn agrees(&self, found: &Found) -> bool {
        let asked = |expected: Promise, found: Promise| expected == Promise::Unasked || expected == found;
        let is_vacuous = !self.is_mutant() && !found.missing.is_empty();
        asked(self.p1, found.p1) && asked(self.p2, found.p2) && !is_vacuous
    }

    pub(crate) fn is_mutant(&self) -> bool {
        self.p1 == Promise::Refuted || (self.p1 == Promise::Unasked && self.p2 == Promise::Refuted)
    }

    fn explore<M>(&self, model: &M, mut report: impl FnMut(Progress, Duration)) -> Found
    where
        M: Model,
        M::State: std::hash::Hash,
        M::Action: Clone + std::fmt::Debug,
    {
        let decisive = if self.is_mutant() { Promise::Refuted } else { Promise::Holds };
        let promises = [(self.p1, "P1"), (self.p2, "P2")];
        let stops: Vec<_> =
            promises.iter().filter(|(promise, _)| *promise == decisive).map(|(_, name)| *name).collect();
        let begun = Stopwatch::start();
        let explored = explore(model, &stops, |progress| report(progress, begun.elapsed()));
        let elapsed = begun.elapsed();
        let promise = |name| {
            if explored.discoveries.contains_key(name) { Promise::Refuted } else { Promise::Holds }
        };
        let (p1, p2) = (promise("P1"), promise("P2"));
        let missing = model
            .properties()
            .iter()
            .filter(|property| {
                let is_wanted = !property.expectation.discovery_is_failure();
                is_wanted && !explored.discoveries.contains_key(property.name)
            })
            .map(|property| property.name)
            .collect();
        let path = explored.discoveries.get(if p1 == Promise::Refuted { "P1" } else { "P2" });
        let counterexample =
            path.map_or_else(Vec::new, |path| path.iter().map(|action| format!("{action:?}")).collect());
        Found { states: explored.states, elapsed, p1, p2, missing, counterexample }
    }
}

/// Time that this thread has spent on a processor, if the system tells; else, time that has passed.
struct Stopwatch {
    begun: Instant,
    spent: Option<Duration>,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "how long the checker takes is for people")]
    fn start() -> Self {
        Self { begun: Instant::now(), spent: Self::spent() }
    }

    fn elapsed(&self) -> Duration {
        let spent = self.spent.zip(Self::spent()).map(|(before, now)| now.saturating_sub(before));
        spent.unwrap_or_else(|| self.begun.elapsed())
    }

    fn spent() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
    }
}

/// All cases, those that must hold first.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = compact_that_hold();
    cases.extend(real_that_hold());
    cases.extend(compact_mutants());
    cases.extend(real_mutants());
    cases
}

fn protocol() -> Protocol {
    Protocol {
        nodes: 2,
        term: 2,
        wait: 2,
        has_acks: true,
        is_slow: false,
        is_partial: false,
        is_atomic: false,
        mutant: None,
    }
}

fn compact_that_hold() -> Vec<Case> {
    use Promise::{Holds, Refuted};
    let case = |name, is_short, p2, protocol| Case {
        name,
        subject: Subject::Compact(protocol),
        p1: Holds,
        p2,
        is_short,
    };
    vec![
        case("regular, 2 nodes", true, Refuted, protocol()),
        case("regular, 3 nodes", false, Refuted, Protocol { nodes: 3, ..protocol() }),
        case("no acknowledgements, only the wait", true, Refuted, Protocol { has_acks: false, ..protocol() }),
        case(
            "part of the keys in memory, guarded fill",
            false,
            Refuted,
            Protocol { is_partial: true, ..protocol() },
        ),
        case("clock at half rate, W = 2D", true, Refuted, Protocol { is_slow: true, wait: 4, ..protocol() }),
        case("atomic, 2 nodes", true, Holds, Protocol { is_atomic: true, ..protocol() }),
        case("atomic, 3 nodes", false, Holds, Protocol { is_atomic: true, nodes: 3, ..protocol() }),
    ]
}

fn compact_mutants() -> Vec<Case> {
    use Promise::{Refuted, Unasked};
    let case = |name, protocol| Case {
        name,
        subject: Subject::Compact(protocol),
        p1: Refuted,
        p2: Unasked,
        is_short: true,
    };
    let mutant = |name, mutant| case(name, Protocol { mutant: Some(mutant), ..protocol() });
    vec![
        case("clock at half rate, W = D", Protocol { is_slow: true, ..protocol() }),
        case("W = D - 1", Protocol { wait: 1, ..protocol() }),
        mutant("lease from receipt", CompactMutant::LeaseFromReceipt),
        mutant("lease before apply", CompactMutant::LeaseBeforeApply),
        mutant("entry before lease", CompactMutant::EntryBeforeLease),
        mutant("no lease check", CompactMutant::NoLeaseCheck),
        mutant("registration after snapshot", CompactMutant::RegistrationAfterSnapshot),
        mutant("acknowledged before apply", CompactMutant::AckBeforeApply),
        mutant("the store's wall clock", CompactMutant::WallClock),
        case(
            "unguarded fill",
            Protocol { is_partial: true, mutant: Some(CompactMutant::UnguardedFill), ..protocol() },
        ),
        Case {
            p1: Unasked,
            p2: Refuted,
            ..case(
                "atomic, timer from send",
                Protocol { is_atomic: true, mutant: Some(CompactMutant::AtomicTimerFromSend), ..protocol() },
            )
        },
    ]
}

/// Silence is observed, and one span holds for leases and for fencing.
fn observed() -> World {
    let mut world = World { counts_renewals: true, has_slow_looks: true, ..World::small() };
    world.timing.waits_ns = [0, 2, 2, 2];
    world
}

/// One node, in all detail.
fn fine() -> World {
    World { nodes: 1, is_fine: true, ..World::small() }
}

/// A standby may take over that lacks the last change. The revoker is part of a node, which re-asserts what it committed.
fn promoted() -> World {
    World { promotions: 1, own: Some(0), ..World::small() }
}

/// Leases of one tick in one term, of two in another.
fn with_terms(script: Vec<Planned>) -> World {
    let mut world = fine();
    world.timing.terms_ns = [0, 1, 2, 2];
    world.timing.waits_ns[1] = 1;
    World { script, ..world }
}

const fn planned(change: super::real::store::Change, is_awaited: bool) -> Planned {
    Planned { change, is_awaited }
}

fn raised() -> World {
    let raise = Terms { lease: LeaseTerm::Standard, wait: LeaseTerm::Standard };
    let mut world = with_terms(vec![planned(raise, false), planned(Revoke, true)]);
    (world.first.lease, world.first.wait) = (LeaseTerm::Short, LeaseTerm::Short);
    world
}

fn lowered() -> World {
    with_terms(vec![
        planned(Terms { lease: LeaseTerm::Short, wait: LeaseTerm::Standard }, true),
        planned(Terms { lease: LeaseTerm::Short, wait: LeaseTerm::Short }, false),
        planned(Revoke, true),
    ])
}

fn lowered_in_one_step() -> World {
    with_terms(vec![
        planned(Terms { lease: LeaseTerm::Short, wait: LeaseTerm::Short }, false),
        planned(Revoke, true),
    ])
}

fn slow(wait: u64) -> World {
    let mut world = World { is_slow: true, now: 5, ..World::small() };
    world.timing.waits_ns[2] = wait;
    world
}

fn atomic() -> World {
    World { is_atomic: true, is_p2_tracked: true, ..World::small() }
}

fn real_that_hold() -> Vec<Case> {
    let case = |name, is_short, world| Case {
        name,
        subject: Subject::Real(Box::new(world)),
        p1: Promise::Holds,
        p2: Promise::Unasked,
        is_short,
    };
    vec![
        case("core: 1 node, fine", true, fine()),
        case("core: 2 nodes", true, World::small()),
        case("core: 3 nodes", false, World { nodes: 3, ..World::small() }),
        case("core: 2 nodes, announcements", true, World { has_announcements: true, ..World::small() }),
        case(
            "core: revoker is a node, announcements",
            true,
            World { own: Some(0), has_announcements: true, ..World::small() },
        ),
        case("core: lost messages", true, World { losses: 1, ..World::small() }),
        case("core: 1 node, fine, lost messages", true, World { losses: 2, ..fine() }),
        case("core: slow looks", false, World { has_slow_looks: true, ..World::small() }),
        case("core: clock at half rate, W = 2D", true, slow(4)),
        case("core: kill and restart, two runs of one name", true, World { restarts: 1, ..World::small() }),
        case("core: silence, challenge, fence, register again", true, World { nodes: 1, ..observed() }),
        case(
            "core: a change before, silence, challenge",
            false,
            World { script: vec![planned(Other, false), planned(Revoke, true)], nodes: 1, ..observed() },
        ),
        case("core: lossy promotion, re-assertion", false, promoted()),
        case(
            "core: lossy promotion, then a revocation",
            false,
            World { script: vec![planned(Other, false), planned(Revoke, true)], ..promoted() },
        ),
        case("core: term raised in one step", true, raised()),
        case("core: term lowered in two steps", true, lowered()),
        Case { p2: Promise::Holds, ..case("core: atomic", true, atomic()) },
        Case { p2: Promise::Holds, ..case("core: atomic, 3 nodes", false, World { nodes: 3, ..atomic() }) },
    ]
}

fn real_mutants() -> Vec<Case> {
    let case = |name, world| Case {
        name,
        subject: Subject::Real(Box::new(world)),
        p1: Promise::Refuted,
        p2: Promise::Unasked,
        is_short: true,
    };
    let with = |name, mutant, world: World| case(name, World { mutant: Some(mutant), ..world });
    let mut short_wait = World::small();
    short_wait.timing.waits_ns[2] = 1;
    vec![
        case("core: clock at half rate, W = D", slow(2)),
        case("core: W = D - 1", short_wait),
        case("core: term lowered in one step", lowered_in_one_step()),
        with("core: lease from receipt", Mutant::LeaseFromReceipt, World::small()),
        with("core: lease before apply", Mutant::LeaseBeforeApply, fine()),
        with("core: entry before lease", Mutant::EntryBeforeLease, fine()),
        with("core: no lease check", Mutant::NoLeaseCheck, fine()),
        with("core: registration after snapshot", Mutant::RegistrationAfterSnapshot, World::small()),
        with("core: acknowledged before apply", Mutant::AckBeforeApply, World::small()),
        with("core: challenge ignored", Mutant::ChallengeIgnored, World { nodes: 1, ..observed() }),
        with(
            "core: silent without challenge",
            Mutant::SilentWithoutChallenge,
            World { nodes: 1, ..observed() },
        ),
        with("core: row keyed by name", Mutant::RowKeyedByName, World::small()),
        with("core: lossy promotion, no re-assertion", Mutant::NoReassertion, promoted()),
        with(
            "core: commits before the generation",
            Mutant::CommitBeforeGeneration,
            World { script: vec![planned(Other, false), planned(Revoke, true)], ..promoted() },
        ),
        with(
            "core: sequence numbers used twice",
            Mutant::SequencesReused,
            World { script: vec![planned(Other, false), planned(Revoke, true)], ..promoted() },
        ),
        with("core: late commit counted as re-asserted", Mutant::ReassertingUntold, promoted()),
        Case {
            p1: Promise::Unasked,
            p2: Promise::Refuted,
            ..with("core: atomic, timer from send", Mutant::AtomicTimerFromSend, atomic())
        },
    ]
}
