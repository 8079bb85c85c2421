//! Whoever changes something and waits: the crate's own [`Barrier`], and a script of changes.

use keywright_cluster::{
    Barrier,
    barrier::{Input, Output, Ticket},
};
use keywright_domain::control::{Incarnation, NodeRow, history_began};

use super::{
    Mutant, World,
    node::Node,
    store::{Change, Names, Store},
};

/// A change, and whether the next one waits for its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) change: Change,
    pub(crate) is_awaited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Commit {
    None,
    /// In the log, but the caller does not know yet; whether it is the entry with this number.
    Unknown(u64, bool),
    Awaited,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Look {
    None,
    Asked,
    Answered(Vec<NodeRow>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Challenge {
    node: Incarnation,
    renewals: u64,
    sequence: u64,
    answer: Option<bool>,
}

/// How the revocation came to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Returned {
    No,
    /// Every node had applied it.
    Acknowledged,
    /// Some were known to be silent.
    Silent,
    /// The wait was over.
    Waited,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Revoker {
    barrier: Barrier,
    at: u8,
    commit: Commit,
    look: Look,
    challenges: Vec<Challenge>,
    fences: Vec<(Incarnation, u64)>,
    pub(crate) returned: Returned,
}

impl Revoker {
    pub(crate) fn new(world: &World) -> Self {
        let barrier = Barrier::new(world.timing);
        Self {
            barrier,
            at: 0,
            commit: Commit::None,
            look: Look::None,
            challenges: Vec::new(),
            fences: Vec::new(),
            returned: Returned::No,
        }
    }

    pub(crate) fn tick(&mut self) {
        self.barrier = self.barrier.clone().rebased(1);
    }

    /// Whether every change is done.
    fn is_finished(&self, world: &World) -> bool {
        usize::from(self.at) == world.script.len() && self.commit == Commit::None
    }

    /// Drops what makes no difference any more; `is_moot`: nor does anything that it does.
    pub(crate) fn canonicalize(&mut self, is_moot: bool, world: &World) {
        if is_moot || self.is_finished(world) {
            *self = Self {
                at: u8::try_from(world.script.len()).unwrap_or(u8::MAX),
                returned: self.returned,
                ..Self::new(world)
            };
            return;
        }
        self.barrier = self.barrier.clone().canonical(world.now);
        if !world.counts_renewals {
            // Where each look finds that each node has polled since the one before.
            self.barrier = self.barrier.clone().without_nodes();
        }
    }

    /// Drops statements under way that come to nothing: they are for polls that are not a node's last any more, or for a run
    /// that is fenced; and answers that say so. They would have been tried again after a pause that is shorter than what a
    /// node has to be silent for, and then as well. The order of the others does not matter.
    pub(crate) fn forget_vain(&mut self, store: &Store) {
        let is_last = |run: Incarnation, renewals: u64| {
            let row = store.rows.iter().find(|row| row.incarnation == run && !row.is_fenced);
            row.is_some_and(|row| row.renewals == renewals)
        };
        let is_known = |run: Incarnation| self.barrier.nodes().any(|(known, _)| known == run);
        self.fences.retain(|(run, renewals)| is_last(*run, *renewals));
        self.challenges.retain(|challenge| match challenge.answer {
            None => is_last(challenge.node, challenge.renewals),
            Some(is_silent) => is_silent && is_known(challenge.node),
        });
        self.fences.sort_unstable();
        self.challenges.sort_unstable();
    }

    /// Every run of which something is known or under way, with each number of polls that it was found to have made.
    pub(crate) fn runs(&self) -> Vec<(Incarnation, u64)> {
        let mut runs: Vec<_> = self.barrier.nodes().collect();
        runs.extend(self.challenges.iter().map(|challenge| (challenge.node, challenge.renewals)));
        runs.extend(&self.fences);
        if let Look::Answered(rows) = &self.look {
            runs.extend(rows.iter().map(|row| (row.incarnation, row.renewals)));
        }
        runs
    }

    /// With other names for runs, and other numbers for their polls.
    pub(crate) fn rename(&mut self, names: &Names) {
        let barrier = self.barrier.clone();
        self.barrier = barrier.renamed(|run| names.run(run), |run, renewals| names.renewals(run, renewals));
        let each = |run: &mut Incarnation, renewals: &mut u64| {
            *renewals = names.renewals(*run, *renewals);
            *run = names.run(*run);
        };
        for challenge in &mut self.challenges {
            each(&mut challenge.node, &mut challenge.renewals);
        }
        self.fences.iter_mut().for_each(|(run, renewals)| each(run, renewals));
        if let Look::Answered(rows) = &mut self.look {
            for row in rows {
                each(&mut row.incarnation, &mut row.renewals);
            }
        }
    }

    /// Where the history may change, a process that has not polled yet commits nothing: nobody asks it to, and it would not
    /// know that it has anything to re-assert.
    pub(crate) fn can_commit(&self, nodes: &[Node], world: &World) -> bool {
        let has_begun =
            world.promotions == 0 || world.own.is_none_or(|own| nodes[own].follower.generation() != 0);
        has_begun && self.commit == Commit::None && usize::from(self.at) < world.script.len()
    }

    pub(crate) const fn can_know(&self) -> bool {
        matches!(self.commit, Commit::Unknown(..))
    }

    pub(crate) fn can_wake(&self, world: &World) -> bool {
        let is_watching = self.commit == Commit::Awaited || world.has_slow_looks;
        is_watching && !self.is_finished(world) && self.barrier.next_tick_ns() <= world.now
    }

    pub(crate) const fn can_look(&self) -> bool {
        matches!(self.look, Look::Asked)
    }

    pub(crate) const fn can_see(&self) -> bool {
        matches!(self.look, Look::Answered(..))
    }

    /// How many challenges are under way.
    pub(crate) const fn challenges(&self) -> usize {
        self.challenges.len()
    }

    /// How many fences are under way.
    pub(crate) const fn fences(&self) -> usize {
        self.fences.len()
    }

    /// The next change is committed.
    pub(crate) fn commit(&mut self, store: &mut Store, world: &World) -> Option<()> {
        let planned = world.script.get(usize::from(self.at))?;
        if self.commit != Commit::None {
            return None;
        }
        let (sequence, is_new) = store.commit(planned.change, world)?;
        self.commit = Commit::Unknown(sequence, is_new);
        Some(())
    }

    /// The caller gets to know.
    pub(crate) fn know(&mut self, store: &mut Store, nodes: &mut [Node], world: &World) -> Option<()> {
        let Commit::Unknown(sequence, is_new) = self.commit else { return None };
        let planned = world.script[usize::from(self.at)];
        // The store says in the same transaction what the change has to be waited for.
        let mut after = world.first;
        world.script[..=usize::from(self.at)].iter().for_each(|planned| after.apply(planned.change));
        let ticket = Ticket(u64::from(self.at));
        if planned.is_awaited {
            self.commit = Commit::Awaited;
        } else {
            self.commit = Commit::None;
            self.at += 1;
        }
        if let Some(own) = world.own {
            nodes[own].advance((sequence, planned.change), is_new, world);
        }
        let term = after.wait;
        self.step(Input::Committed { ticket, sequence, term }, false, store, world);
        Some(())
    }

    pub(crate) fn wake(&mut self, store: &mut Store, world: &World) -> Option<()> {
        self.can_wake(world).then(|| self.step(Input::Tick, false, store, world))
    }

    /// The registry is read.
    pub(crate) fn look(&mut self, store: &mut Store, nodes: &[Node], world: &World) -> Option<()> {
        if self.look != Look::Asked {
            return None;
        }
        let mut rows: Vec<_> = store.rows.iter().filter(|row| !row.is_fenced).cloned().collect();
        for row in &mut rows {
            // Of no matter to it.
            (row.challenge, row.reasserted) = (0, 0);
            if !world.counts_renewals {
                // As if it had polled since the look before, whose number is forgotten: see `canonicalize`.
                row.renewals = 1;
            }
        }
        self.look = Look::Answered(rows);
        if !world.has_slow_looks {
            self.see(store, nodes, world)?;
        }
        Some(())
    }

    /// What was read arrives.
    pub(crate) fn see(&mut self, store: &mut Store, nodes: &[Node], world: &World) -> Option<()> {
        if !matches!(self.look, Look::Answered(..)) {
            return None;
        }
        let Look::Answered(rows) = std::mem::replace(&mut self.look, Look::None) else {
            return None;
        };
        let own = world.own.and_then(|own| Some((nodes[own].follower.incarnation()?, nodes[own].sequence)));
        // What was waited for when it was asked was committed before, and the barrier leaves the rest aside as early. So it
        // does not matter how long ago that was.
        self.step(Input::Looked { asked_at_ns: world.now, rows, own }, true, store, world);
        Some(())
    }

    /// A challenge is executed.
    pub(crate) fn challenge(&mut self, index: usize, store: &mut Store) -> Option<()> {
        let Challenge { node, renewals, sequence, answer: None } = *self.challenges.get(index)? else {
            return None;
        };
        let answer = Some(store.challenge(node, renewals, sequence));
        self.challenges.remove(index);
        // The same answer twice is one.
        let answered = Challenge { node, renewals, sequence, answer };
        if !self.challenges.contains(&answered) {
            self.challenges.push(answered);
        }
        Some(())
    }

    /// It is answered.
    pub(crate) fn challenged(&mut self, index: usize, store: &mut Store, world: &World) -> Option<()> {
        let is_silent = self.challenges.get(index)?.answer?;
        let Challenge { node, sequence, .. } = self.challenges.remove(index);
        self.step(Input::Challenged { node, sequence, is_silent }, false, store, world);
        Some(())
    }

    /// A fence is executed, and answered.
    pub(crate) fn fence(&mut self, index: usize, store: &mut Store, world: &World) {
        let (node, renewals) = self.fences.remove(index);
        store.fence(node, renewals);
        self.step(Input::Fenced { node }, false, store, world);
    }

    /// The own node is about to re-assert what it knows.
    pub(crate) fn reasserting(&mut self, store: &mut Store, world: &World) {
        if !world.is(Mutant::ReassertingUntold) {
            self.step(Input::Reasserting, false, store, world);
        }
    }

    /// It has, and knows where the log was afterwards.
    pub(crate) fn history_changed(&mut self, store: &mut Store, world: &World) {
        let sequence = store.head;
        let began = history_began(sequence);
        self.step(Input::HistoryChanged { began, sequence }, false, store, world);
    }

    fn step(&mut self, input: Input, is_look: bool, store: &mut Store, world: &World) {
        for output in self.barrier.step(world.now, input) {
            match output {
                Output::Look => self.look = Look::Asked,
                Output::Challenge { node, renewals, sequence } if world.counts_renewals => {
                    let answer = world.is(Mutant::SilentWithoutChallenge).then_some(true);
                    let challenge = Challenge { node, renewals, sequence, answer };
                    // One that is under way is not sent again.
                    if !self.challenges.contains(&challenge) {
                        self.challenges.push(challenge);
                    }
                }
                Output::Fence { node, renewals } if world.counts_renewals => {
                    if !self.fences.contains(&(node, renewals)) {
                        self.fences.push((node, renewals));
                    }
                }
                Output::Challenge { .. } | Output::Fence { .. } => {}
                Output::Overtaken(ticket) => {
                    // The client hears nothing, and asks anew.
                    if ticket == Ticket(u64::from(self.at)) && self.commit == Commit::Awaited {
                        self.commit = Commit::None;
                    }
                }
                Output::Settled(sequence) => {
                    if world.is_atomic {
                        store.settle(sequence);
                    }
                }
                Output::Done { ticket, receipt } => {
                    let how = match (is_look, receipt.silent) {
                        (false, _) => Returned::Waited,
                        (true, 0) => Returned::Acknowledged,
                        (true, _) => Returned::Silent,
                    };
                    self.done(ticket, how, world);
                }
            }
        }
    }

    fn done(&mut self, ticket: Ticket, how: Returned, world: &World) {
        if ticket == Ticket(u64::from(self.at)) && self.commit == Commit::Awaited {
            self.commit = Commit::None;
            self.at += 1;
        }
        let planned = usize::try_from(ticket.0).ok().and_then(|at| world.script.get(at));
        if planned.is_some_and(|planned| planned.change == Change::Revoke) {
            self.returned = how;
        }
    }
}
