//! The crate's own `Follower` and `Barrier` over an abstract store and network, explored to the end.
//!
//! Every machine keeps its own clock, and all clocks show [`World::now`] at all times: when time passes, everything that a
//! machine remembers moves into the past instead. So the space has no horizon. All nodes have one name, and states that
//! differ in what makes no difference any more are one: see [`World::reduced`].
//!
//! A configuration is fine or coarse. In a fine one everything takes as many steps as it does: a verification reads the
//! lease, the entry, and the clock again; changes are put into memory before the core hears of it; a poll has its
//! snapshot before it gets its row. In a coarse one each of these is one step, and a verification takes place on every
//! node at every moment.

mod node;
mod revoker;
pub(crate) mod store;

use keywright_cluster::Timing;
use keywright_domain::lease::LeaseTerm;
use stateright::{Model, Property};

pub(crate) use self::revoker::Planned;
use self::{
    node::{Node, Verdict},
    revoker::{Returned, Revoker},
    store::{Change, JUMP, Store, Truth},
};

/// Longer than anything.
const NEVER: u64 = u64::MAX / 4;

/// How the model departs from the protocol. Each must be refuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    LeaseFromReceipt,
    LeaseBeforeApply,
    EntryBeforeLease,
    NoLeaseCheck,
    RegistrationAfterSnapshot,
    AckBeforeApply,
    AtomicTimerFromSend,
    NoReassertion,
    ChallengeIgnored,
    SilentWithoutChallenge,
    RowKeyedByName,
    /// Changes are committed after a promotion before a generation was begun for it.
    CommitBeforeGeneration,
    /// A generation goes on numbering where its history ends.
    SequencesReused,
    /// What became known while a re-assertion was under way counts as part of it.
    ReassertingUntold,
}

/// What is modelled.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// What every clock shows. Longer than any span that is modelled, and no longer than that: a moment at zero is so
    /// long ago that it makes no difference any more.
    pub(crate) now: u64,
    pub(crate) is_fine: bool,
    pub(crate) nodes: usize,
    pub(crate) timing: Timing,
    /// The state that everybody starts from.
    pub(crate) first: Truth,
    pub(crate) script: Vec<Planned>,
    /// The node whose process the revoker is part of.
    pub(crate) own: Option<usize>,
    /// Whether the nodes' clocks run at half the revoker's rate.
    pub(crate) is_slow: bool,
    pub(crate) is_atomic: bool,
    pub(crate) is_p2_tracked: bool,
    pub(crate) has_announcements: bool,
    /// Whether the answer to a look may take time.
    pub(crate) has_slow_looks: bool,
    /// Whether silence is observed: challenges and fences.
    pub(crate) counts_renewals: bool,
    /// How many operations may get lost.
    pub(crate) losses: u8,
    /// How often nodes may be killed and started again.
    pub(crate) restarts: u8,
    /// How often a standby may be promoted that lacks the last change.
    pub(crate) promotions: u8,
    pub(crate) mutant: Option<Mutant>,
    /// Whether states that differ in what makes no difference any more are one; see [`World::reduced`].
    pub(crate) is_reduced: bool,
}

impl World {
    /// Two nodes, one revocation, leases of two ticks in every term, a wait of as many.
    pub(crate) fn small() -> Self {
        Self {
            now: 3,
            is_fine: false,
            nodes: 2,
            timing: Timing {
                terms_ns: [0, 2, 2, 2],
                waits_ns: [0, 2, 2, NEVER],
                poll_every_ns: 1,
                retry_after_ns: 1,
                acknowledge_own_after_ns: 0,
                look_every_ns: 0,
                look_every_max_ns: 0,
                first_look_max_ns: 0,
                look_idle_every_ns: 1,
                settle_ns: NEVER,
            },
            first: Truth { is_revoked: false, lease: LeaseTerm::Standard, wait: LeaseTerm::Standard },
            script: vec![Planned { change: Change::Revoke, is_awaited: true }],
            own: None,
            is_slow: false,
            is_atomic: false,
            is_p2_tracked: false,
            has_announcements: false,
            has_slow_looks: false,
            counts_renewals: false,
            losses: 0,
            restarts: 0,
            promotions: 0,
            mutant: None,
            is_reduced: true,
        }
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

/// A state of the whole installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    store: Store,
    nodes: Vec<Node>,
    revoker: Revoker,
    is_odd: bool,
    was_rejected: bool,
    broken: (bool, bool),
    pub(crate) losses_left: u8,
    restarts_left: u8,
    promotions_left: u8,
}

impl State {
    #[cfg(test)]
    pub(crate) fn is_broken(&self) -> bool {
        self.broken != (false, false)
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    Promote,
    Commit,
    CommitKnown,
    RevokerWakes,
    Look,
    Looked,
    Challenge(usize),
    Challenged(usize),
    Fence(usize),
    Wake(usize),
    Announce(usize),
    Tell(usize),
    Execute(usize),
    Apply(usize),
    Deliver(usize),
    Lose(usize),
    Restart(usize),
    CommitRow(usize),
    VerifyBegin(usize),
    VerifyContinue(usize),
}

impl World {
    fn tick(&self, state: &mut State) {
        state.revoker.tick();
        state.is_odd = self.is_slow && !state.is_odd;
        if !state.is_odd {
            state.nodes.iter_mut().for_each(Node::tick);
        }
    }

    /// Whether nothing can be accepted any more, whatever happens.
    pub(crate) fn is_over(&self, state: &State) -> bool {
        Self::is_armed(state)
            && self.keeps_revoked(state)
            && state.nodes.iter().all(Node::has_revoked_for_good)
    }

    /// Whether a node that has the revocation in memory will always have it.
    fn keeps_revoked(&self, state: &State) -> bool {
        state.promotions_left == 0
            && state.restarts_left == 0
            && state.store.truth().is_revoked
            && !self.is(Mutant::EntryBeforeLease)
    }

    /// Whether every acceptance breaks a promise from now on. In atomic mode, one after a rejection breaks P2, whether or
    /// not the revocation has returned.
    pub(crate) fn is_armed(state: &State) -> bool {
        state.revoker.returned != Returned::No || state.was_rejected
    }

    /// Drops what makes no difference any more, so that states that differ in nothing else are one.
    ///
    /// - Of each machine: see [`Follower::canonical`](keywright_cluster::Follower::canonical) and
    ///   [`Barrier::canonical`](keywright_cluster::Barrier::canonical).
    /// - Once every acceptance breaks a promise, it makes no difference whether and how the revocation returns, nor what was
    ///   acknowledged. A challenge or a fence that is still executed can only take a lease away, or keep one from being
    ///   given: whatever is accepted with it is accepted without. (These are all that a reduced state may lose.)
    /// - A challenge at a change that every answer from now on reflects binds nobody.
    /// - Nor does anything about a node that will never have the key active again: it accepts nothing, and others hear of it
    ///   by its row only: by acknowledgements, and by whether it has re-asserted what it knew, so this is left as it is
    ///   where the history may change. If all nodes are such, the state is an end, and is left as it is for the conditions
    ///   that should be reached.
    /// - Challenges and fences that come to nothing: see [`Revoker::forget_vain`].
    /// - How many polls a run has made: only whether there were any, and whether it was more since the number that somebody
    ///   knows. And rows of fenced runs that nobody refers to; what runs are called. See [`Store::rename`].
    /// - Which node is which, unless the revoker is one of them.
    pub(crate) fn reduced(&self, mut state: State) -> State {
        let is_moot = Self::is_armed(&state);
        state.revoker.canonicalize(is_moot, self);
        if is_moot {
            state.store.forget_acknowledgements();
        }
        for node in &mut state.nodes {
            node.canonicalize(self);
            node.forget_challenges(&mut state.store);
        }
        let may_freeze = is_moot && self.promotions == 0 && self.keeps_revoked(&state);
        if may_freeze && !self.is_over(&state) {
            state
                .nodes
                .iter_mut()
                .filter(|node| node.has_revoked_for_good())
                .for_each(|node| node.freeze(self));
        }
        if self.counts_renewals {
            let State { store, nodes, revoker, .. } = &mut state;
            revoker.forget_vain(store);
            let known = revoker.runs();
            let refers = |run| {
                known.iter().any(|(other, _)| *other == run) || nodes.iter().any(|node| node.is_run(run))
            };
            let names = store.rename(refers, known.clone().into_iter());
            revoker.rename(&names);
            for node in nodes {
                node.rename(&names);
            }
        }
        if self.own.is_none() {
            state.nodes.sort_by_cached_key(Node::order);
        }
        state
    }

    fn promote(state: &mut State) -> Option<()> {
        state.promotions_left = state.promotions_left.checked_sub(1)?;
        state.store.promote().then_some(())?;
        state.nodes.iter_mut().for_each(Node::cut);
        Some(())
    }

    fn verify_everywhere(&self, state: &mut State) {
        let (late, after_rejection) = (state.revoker.returned != Returned::No, state.was_rejected);
        let accepts = state.nodes.iter().any(|node| node.verdict(self) == Some(true));
        state.broken = (late && accepts, after_rejection && accepts);
        // Armed already, or not: see `is_armed`.
        if !late {
            state.was_rejected |=
                self.is_p2_tracked && state.nodes.iter().any(|node| node.verdict(self) == Some(false));
        }
    }

    fn verify(&self, state: &mut State, index: usize) -> Option<()> {
        match state.nodes[index].continue_verification(self)? {
            Verdict::Rejected => state.was_rejected |= self.is_p2_tracked,
            Verdict::Accepted { late, after_rejection } => {
                state.broken.0 |= late;
                state.broken.1 |= after_rejection;
            }
            Verdict::Open => {}
        }
        Some(())
    }

    fn act(&self, state: &mut State, action: Action) -> Option<()> {
        let reasserts = |state: &State| self.own.is_some_and(|own| state.nodes[own].is_reasserting());
        let did = reasserts(state);
        self.take_step(state, action)?;
        let does = reasserts(state);
        let State { store, revoker, .. } = state;
        match (did, does, action) {
            (false, true, _) => revoker.reasserting(store, self),
            (true, false, Action::Execute(_)) => revoker.history_changed(store, self),
            _ => {}
        }
        Some(())
    }

    fn take_step(&self, state: &mut State, action: Action) -> Option<()> {
        let State { store, nodes, revoker, .. } = state;
        let late = revoker.returned != Returned::No;
        match action {
            Action::Tick => {
                self.tick(state);
                Some(())
            }
            Action::Promote => Self::promote(state),
            Action::Commit => revoker.commit(store, self),
            Action::CommitKnown => revoker.know(store, nodes, self),
            Action::RevokerWakes => revoker.wake(store, self),
            Action::Look => revoker.look(store, nodes, self),
            Action::Looked => revoker.see(store, nodes, self),
            Action::Challenge(index) => revoker.challenge(index, store),
            Action::Challenged(index) => revoker.challenged(index, store, self),
            Action::Fence(index) => {
                revoker.fence(index, store, self);
                Some(())
            }
            Action::Wake(node) => nodes[node].wake(self),
            Action::Announce(node) => nodes[node].announce(store.head, self),
            Action::Tell(node) => nodes[node].tell(store, self),
            Action::Execute(node) => nodes[node].execute(store, self),
            Action::Apply(node) => nodes[node].apply(self),
            Action::Deliver(node) => nodes[node].deliver(self),
            Action::Lose(node) => {
                let is_free = state.losses_left > 0;
                let was_broken = nodes[node].is_broken();
                nodes[node].lose(is_free, self)?;
                state.losses_left -= u8::from(!was_broken);
                Some(())
            }
            Action::Restart(node) => {
                state.restarts_left = state.restarts_left.checked_sub(1)?;
                nodes[node].restart(self);
                Some(())
            }
            Action::CommitRow(node) => nodes[node].commit_row(store, self),
            Action::VerifyBegin(node) => nodes[node].begin_verification(late, state.was_rejected, self),
            Action::VerifyContinue(node) => self.verify(state, node),
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            store: Store::new(self.first),
            nodes: vec![Node::new(self); self.nodes],
            revoker: Revoker::new(self),
            is_odd: false,
            was_rejected: false,
            broken: (false, false),
            losses_left: self.losses,
            restarts_left: self.restarts,
            promotions_left: self.promotions,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // Verifications only look on: what follows a broken promise also follows without it.
        if state.broken != (false, false) || (self.is_reduced && self.is_over(state)) {
            return;
        }
        let revoker = &state.revoker;
        let mut offer = |may: bool, action: Action| actions.extend(may.then_some(action));
        offer(true, Action::Tick);
        offer(revoker.can_commit(&state.nodes, self), Action::Commit);
        offer(revoker.can_know(), Action::CommitKnown);
        offer(revoker.can_wake(self), Action::RevokerWakes);
        offer(revoker.can_look(), Action::Look);
        offer(revoker.can_see(), Action::Looked);
        for index in 0..revoker.challenges() {
            offer(true, Action::Challenge(index));
            offer(true, Action::Challenged(index));
        }
        (0..revoker.fences()).for_each(|index| offer(true, Action::Fence(index)));
        offer(state.promotions_left > 0, Action::Promote);
        for (index, node) in state.nodes.iter().enumerate().filter(|(_, node)| !node.is_frozen()) {
            offer(node.can_wake(self), Action::Wake(index));
            offer(node.can_execute(), Action::Execute(index));
            offer(node.can_apply(), Action::Apply(index));
            offer(node.can_deliver(), Action::Deliver(index));
            offer(self.is_fine && !node.is_verifying(), Action::VerifyBegin(index));
            offer(node.is_verifying(), Action::VerifyContinue(index));
            offer(self.has_announcements, Action::Announce(index));
            offer(self.has_announcements, Action::Tell(index));
            offer(node.is_broken() || (state.losses_left > 0 && node.can_lose()), Action::Lose(index));
            offer(state.restarts_left > 0, Action::Restart(index));
            offer(self.is(Mutant::RegistrationAfterSnapshot), Action::CommitRow(index));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action)?;
        if !self.is_fine {
            self.verify_everywhere(&mut state);
        }
        Some(if self.is_reduced { self.reduced(state) } else { state })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("P1", |_, state: &State| !state.broken.0),
            Property::always("P2", |_, state: &State| !state.broken.1),
            Property::sometimes("returned by acknowledgements", |model: &World, state: &State| {
                state.revoker.returned == Returned::Acknowledged
                    && state.nodes.iter().all(|node| node.has_lease(model) && node.memory.is_revoked)
            }),
            Property::sometimes("returned after the wait", |_, state: &State| {
                state.revoker.returned == Returned::Waited
                    && state.nodes.iter().any(|node| node.follower.is_following() && !node.memory.is_revoked)
            }),
        ];
        if self.is_p2_tracked {
            properties.push(Property::sometimes("rejected", |_, state: &State| state.was_rejected));
        }
        if self.counts_renewals {
            properties.push(Property::sometimes("returned, with a silent node", |_, state: &State| {
                state.revoker.returned == Returned::Silent
            }));
            properties.push(Property::sometimes(
                "fenced, and registered again",
                |model: &World, state: &State| {
                    let has_fenced =
                        state.store.has_fenced || state.store.rows.iter().any(|row| row.is_fenced);
                    has_fenced && state.nodes.iter().all(|node| node.has_lease(model))
                },
            ));
        }
        if self.promotions > 0 {
            properties.push(Property::sometimes(
                "leased in the next generation",
                |model: &World, state: &State| {
                    let rows = &state.store.rows;
                    state.store.generation == 2
                        && rows.iter().all(|row| row.reasserted == 2)
                        && state.nodes.iter().all(|node| node.has_lease(model) && node.sequence >= JUMP)
                },
            ));
        }
        if self.restarts > 0 {
            properties.push(Property::sometimes("started again", |model: &World, state: &State| {
                state.store.rows.len() > model.nodes && state.nodes.iter().all(|node| node.has_lease(model))
            }));
        }
        properties
    }
}
