//! The protocol of one revocation, written down a second time and as small as possible, so that three nodes can be
//! explored to the end. It shares no code with the crate; what drives the crate's own code is [`super::real`].
//!
//! Time is relative to now, so there is no horizon: a state holds how long ago a poll was sent and how much of a lease
//! is left, never a date.

use stateright::{Model, Property};

/// How the model departs from the protocol. Each must be refuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A lease counts from when the answer was received.
    LeaseFromReceipt,
    /// A lease is published before what its poll showed was applied.
    LeaseBeforeApply,
    /// A verification reads the entry first and the lease second.
    EntryBeforeLease,
    /// A verification reads no lease.
    NoLeaseCheck,
    /// The row is committed some time after the first poll's snapshot.
    RegistrationAfterSnapshot,
    /// A change is acknowledged before it is applied.
    AckBeforeApply,
    /// The end of a lease is a reading of the store's wall clock, which may be set back.
    WallClock,
    /// What was read from the store goes into memory without asking whether it is still true.
    UnguardedFill,
    /// In atomic mode the wait counts from when the poll was sent that brought the change.
    AtomicTimerFromSend,
}

/// What is modelled.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct Protocol {
    /// How many nodes.
    pub(crate) nodes: usize,
    /// Length of a lease, in ticks of the node's clock.
    pub(crate) term: u8,
    /// How long the revoker waits, in ticks of its own clock.
    pub(crate) wait: u8,
    /// Whether changes are acknowledged at all.
    pub(crate) has_acks: bool,
    /// Whether the nodes' clocks run at half the revoker's rate.
    pub(crate) is_slow: bool,
    /// Whether memory holds only part of the keys.
    pub(crate) is_partial: bool,
    /// Whether a key that is being revoked is answered with neither yes nor no.
    pub(crate) is_atomic: bool,
    /// The departure.
    pub(crate) mutant: Option<Mutant>,
}

/// How far the revocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Revocation {
    Open,
    /// In the log, but its caller does not know yet.
    Committed,
    /// The caller knows, since so many ticks.
    Waiting(u8),
    Returned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Row {
    None,
    Registered,
    Acknowledged,
}

/// A poll; `age` is how many ticks ago it was sent, on the node's clock, up to a lease's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Poll {
    None,
    Sent { age: u8 },
    Answered { age: u8, reflects: bool, is_stable: bool },
    Received { age: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Entry {
    /// Not in memory. Everything is, unless memory is partial.
    Absent,
    Active,
    Revoked,
}

/// A verification, with whether it started after the revocation returned, and after a rejection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Verification {
    None,
    /// The first of lease and entry was read.
    Begun {
        late: bool,
        after_rejection: bool,
    },
    /// Both were read, and both said yes.
    Decided {
        late: bool,
        after_rejection: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node {
    row: Row,
    is_loaded: bool,
    poll: Poll,
    /// Ticks left.
    lease: u8,
    has_applied: bool,
    entry: Entry,
    /// What a fill read: whether that was after the revocation.
    fill: Option<bool>,
    /// Atomic mode: ticks since the change was received.
    received: u8,
    knows_stable: bool,
    verification: Verification,
}

/// A state of the whole installation. Nodes are sorted: which one is which makes no difference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct State {
    revocation: Revocation,
    is_stable: bool,
    was_rejected: bool,
    /// The first half of a slow node's tick is over.
    is_odd: bool,
    jumps: u8,
    nodes: Vec<Node>,
    broken: (bool, bool),
    returned_early: bool,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Time passes.
    Tick,
    /// The revocation is committed.
    Commit,
    /// Its caller gets to know.
    CommitKnown,
    /// The caller finds that every node has acknowledged.
    ReturnFast,
    /// The caller has waited long enough.
    ReturnSlow,
    /// Somebody sets the wall clock back.
    WallClockJump,
    /// A node does something.
    Node(usize, Step),
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its row is committed.
    Register,
    /// It reads the state.
    Load,
    /// It sends a poll.
    Send,
    /// The store answers.
    Answer,
    /// The answer arrives.
    Receive,
    /// The poll or its answer is lost.
    Lose,
    /// What the poll showed is applied.
    Apply,
    /// The lease is published.
    Publish,
    /// It acknowledges.
    Acknowledge,
    /// It reads a key that is not in memory.
    FillRead,
    /// It puts it there.
    FillStore,
    /// A verification's first reading.
    VerifyBegin,
    /// Its second.
    VerifyRead,
    /// Its end.
    VerifyEnd,
}

const STEPS: [Step; 14] = [
    Step::Register,
    Step::Load,
    Step::Send,
    Step::Answer,
    Step::Receive,
    Step::Lose,
    Step::Apply,
    Step::Publish,
    Step::Acknowledge,
    Step::FillRead,
    Step::FillStore,
    Step::VerifyBegin,
    Step::VerifyRead,
    Step::VerifyEnd,
];

impl Protocol {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn tick(&self, state: &mut State) {
        if let Revocation::Waiting(ticks) = &mut state.revocation {
            *ticks = (*ticks + 1).min(self.wait);
        }
        state.is_odd = self.is_slow && !state.is_odd;
        for node in &mut state.nodes {
            if node.entry == Entry::Revoked && self.is_atomic {
                node.received = (node.received + 1).min(self.wait);
            }
            if state.is_odd {
                continue;
            }
            node.lease = node.lease.saturating_sub(1);
            if let Poll::Sent { age } | Poll::Answered { age, .. } | Poll::Received { age } = &mut node.poll {
                *age = (*age + 1).min(self.term);
            }
        }
    }

    /// Whether a node that knows of the revocation says so.
    fn rejects(&self, node: &Node) -> bool {
        !self.is_atomic || node.knows_stable || node.received >= self.wait
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each step of a node")]
    fn step(&self, state: &mut State, index: usize, step: Step) -> Option<()> {
        let is_committed = state.revocation != Revocation::Open;
        let late = state.revocation == Revocation::Returned;
        let after_rejection = state.was_rejected;
        let is_stable = state.is_stable;
        let node = &mut state.nodes[index];
        let is_registered = node.row != Row::None;
        match step {
            Step::Register => {
                let may = self.is(Mutant::RegistrationAfterSnapshot) || !node.is_loaded;
                if is_registered || !may {
                    return None;
                }
                node.row = Row::Registered;
            }
            Step::Load => {
                let may = is_registered || self.is(Mutant::RegistrationAfterSnapshot);
                if node.is_loaded || !may {
                    return None;
                }
                node.is_loaded = true;
                node.has_applied = is_committed;
                node.entry = match is_committed {
                    _ if self.is_partial => Entry::Absent,
                    true => Entry::Revoked,
                    false => Entry::Active,
                };
            }
            Step::Send if node.is_loaded && node.poll == Poll::None => node.poll = Poll::Sent { age: 0 },
            Step::Answer => {
                let Poll::Sent { age } = node.poll else { return None };
                node.poll = Poll::Answered { age, reflects: is_committed, is_stable };
            }
            Step::Receive => self.receive(node)?,
            Step::Lose if matches!(node.poll, Poll::Sent { .. } | Poll::Answered { .. }) => {
                node.poll = Poll::None;
            }
            Step::Apply if node.is_loaded && !node.has_applied => {
                // Only what a poll or an announcement brought: a poll that reflects it, or a fetch at any time.
                if !is_committed {
                    return None;
                }
                self.apply(node);
            }
            Step::Publish => {
                let Poll::Received { age } = node.poll else { return None };
                if !node.has_applied {
                    return None;
                }
                self.publish(node, age);
            }
            Step::Acknowledge => {
                let may =
                    node.has_applied || (self.is(Mutant::AckBeforeApply) && is_committed && node.is_loaded);
                if !self.has_acks || node.row != Row::Registered || !may {
                    return None;
                }
                node.row = Row::Acknowledged;
            }
            Step::FillRead if self.is_partial && node.is_loaded && node.entry == Entry::Absent => {
                if node.fill.is_some() {
                    return None;
                }
                node.fill = Some(is_committed);
            }
            Step::FillStore => {
                let reflects = node.fill.take()?;
                let is_old = node.has_applied && !reflects && !self.is(Mutant::UnguardedFill);
                node.entry = if reflects || is_old { Entry::Revoked } else { Entry::Active };
            }
            Step::VerifyBegin => {
                // Others can break nothing, and reject nothing.
                let matters = late || after_rejection || node.entry == Entry::Revoked;
                let sees = if self.is(Mutant::EntryBeforeLease) {
                    node.entry == Entry::Active
                } else {
                    self.leased(node)
                };
                if node.verification != Verification::None || !matters || !sees {
                    return None;
                }
                node.verification = Verification::Begun { late, after_rejection };
            }
            Step::VerifyRead => {
                let Verification::Begun { late, after_rejection } = node.verification else { return None };
                node.verification = Verification::None;
                let accepts = match node.entry {
                    _ if self.is(Mutant::EntryBeforeLease) => self.leased(node),
                    Entry::Absent => false,
                    Entry::Active => true,
                    Entry::Revoked => {
                        state.was_rejected |= self.rejects(node);
                        false
                    }
                };
                if accepts && (late || after_rejection) {
                    node.verification = Verification::Decided { late, after_rejection };
                }
            }
            Step::VerifyEnd => {
                let Verification::Decided { late, after_rejection } = node.verification else { return None };
                node.verification = Verification::None;
                if self.leased(node) {
                    state.broken.0 |= late;
                    state.broken.1 |= after_rejection;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn leased(&self, node: &Node) -> bool {
        node.is_loaded && (node.lease > 0 || self.is(Mutant::NoLeaseCheck))
    }

    fn receive(&self, node: &mut Node) -> Option<()> {
        let Poll::Answered { age, reflects, is_stable } = node.poll else { return None };
        node.knows_stable |= is_stable && self.is_atomic;
        if reflects && !node.has_applied && !self.is(Mutant::LeaseBeforeApply) {
            node.poll = Poll::Received { age };
        } else {
            self.publish(node, age);
        }
        Some(())
    }

    fn apply(&self, node: &mut Node) {
        node.has_applied = true;
        if node.entry == Entry::Active {
            node.entry = Entry::Revoked;
        }
        node.received = match node.poll {
            Poll::Received { age } | Poll::Sent { age } | Poll::Answered { age, .. }
                if self.is(Mutant::AtomicTimerFromSend) =>
            {
                age
            }
            _ => 0,
        };
    }

    fn publish(&self, node: &mut Node, age: u8) {
        node.poll = Poll::None;
        node.lease = match self.mutant {
            Some(Mutant::LeaseFromReceipt) => self.term,
            _ => self.term - age,
        };
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = Node {
            row: Row::None,
            is_loaded: false,
            poll: Poll::None,
            lease: 0,
            has_applied: false,
            entry: Entry::Absent,
            fill: None,
            received: 0,
            knows_stable: false,
            verification: Verification::None,
        };
        vec![State {
            revocation: Revocation::Open,
            is_stable: false,
            was_rejected: false,
            is_odd: false,
            jumps: 0,
            nodes: vec![node; self.nodes],
            broken: (false, false),
            returned_early: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken == (true, true) {
            return;
        }
        actions.push(Action::Tick);
        actions.push(match state.revocation {
            Revocation::Open => Action::Commit,
            Revocation::Committed => Action::CommitKnown,
            Revocation::Waiting(_) => Action::ReturnSlow,
            Revocation::Returned => Action::Tick,
        });
        if matches!(state.revocation, Revocation::Waiting(_)) {
            actions.push(Action::ReturnFast);
        }
        if self.is(Mutant::WallClock) {
            actions.push(Action::WallClockJump);
        }
        for index in 0..state.nodes.len() {
            actions.extend(STEPS.map(|step| Action::Node(index, step)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => self.tick(&mut state),
            Action::Commit => state.revocation = Revocation::Committed,
            Action::CommitKnown => state.revocation = Revocation::Waiting(0),
            Action::ReturnFast => {
                // One reading of the registry, after the commit was known.
                if !self.has_acks || state.nodes.iter().any(|node| node.row == Row::Registered) {
                    return None;
                }
                state.revocation = Revocation::Returned;
                state.returned_early = true;
                state.is_stable = self.is_atomic;
            }
            Action::ReturnSlow => {
                if state.revocation != Revocation::Waiting(self.wait) {
                    return None;
                }
                state.revocation = Revocation::Returned;
            }
            Action::WallClockJump => {
                if state.jumps > 0 {
                    return None;
                }
                state.jumps += 1;
                state.nodes.iter_mut().filter(|node| node.lease > 0).for_each(|node| node.lease += 1);
            }
            Action::Node(index, step) => self.step(&mut state, index, step)?,
        }
        state.nodes.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("P1", |_, state: &State| !state.broken.0),
            Property::sometimes("returned after the wait", |_, state: &State| {
                state.revocation == Revocation::Returned && !state.returned_early
            }),
            Property::sometimes("rejected", |_, state: &State| state.was_rejected),
            Property::sometimes("leased after the return", |_, state: &State| {
                state.revocation == Revocation::Returned && state.nodes.iter().any(|node| node.lease > 0)
            }),
        ];
        if self.has_acks {
            properties.push(Property::sometimes("returned at once", |_, state: &State| state.returned_early));
        }
        properties.push(Property::always("P2", |_, state: &State| !state.broken.1));
        properties
    }
}
