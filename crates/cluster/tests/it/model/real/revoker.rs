//! Whoever changes something and waits: the crate's own [`Barrier`], and a script of changes.

use keywright_cluster::{
    Barrier,
    barrier::{Input, Output, Ticket},
};
use keywright_domain::control::{Incarnation, NodeRow};

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
    /// In the log, but the caller does not know yet.
    Unknown(u64),
    Awaited,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Look {
    None,
    Asked(u64),
    Answered(u64, Vec<NodeRow>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    pub(crate) fn tick(&mut self, world: &World) {
        self.barrier = self.barrier.clone().rebased(1);
        match &mut self.look {
            // Asked when it is read. Had it been asked before, it would be taken for too early more often, and be in vain:
            // as if there had been none.
            Look::Asked(_) if !world.has_slow_looks => {}
            Look::Asked(at) | Look::Answered(at, _) => *at = at.saturating_sub(1),
            Look::None => {}
        }
    }

    /// Whether nothing is left to be done that makes a difference. Where silence is observed, there always is.
    pub(crate) fn is_finished(&self, world: &World) -> bool {
        let is_done = usize::from(self.at) == world.script.len() && self.commit == Commit::None;
        is_done && !world.counts_renewals
    }

    /// Drops what makes no difference any more; `is_moot`: nor does anything that is still waited for.
    pub(crate) fn canonicalize(&mut self, is_moot: bool, world: &World) {
        if self.is_finished(world) || (is_moot && !world.counts_renewals) {
            self.barrier = Barrier::new(world.timing);
            (self.look, self.commit) = (Look::None, Commit::None);
            self.at = u8::try_from(world.script.len()).unwrap_or(u8::MAX);
            return;
        }
        self.barrier = self.barrier.clone().canonical(world.now);
        if !world.counts_renewals {
            // Where each look finds that each node has polled since the one before.
            self.barrier = self.barrier.clone().without_nodes();
        }
    }

    /// Every run of which something is known or under way, with each number of polls that it was found to have made.
    pub(crate) fn runs(&self) -> Vec<(Incarnation, u64)> {
        let mut runs: Vec<_> = self.barrier.nodes().collect();
        runs.extend(self.challenges.iter().map(|challenge| (challenge.node, challenge.renewals)));
        runs.extend(&self.fences);
        if let Look::Answered(_, rows) = &self.look {
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
        if let Look::Answered(_, rows) = &mut self.look {
            rows.iter_mut().for_each(|row| each(&mut row.incarnation, &mut row.renewals));
        }
    }

    pub(crate) fn can_commit(&self, world: &World) -> bool {
        self.commit == Commit::None && usize::from(self.at) < world.script.len()
    }

    pub(crate) const fn can_know(&self) -> bool {
        matches!(self.commit, Commit::Unknown(_))
    }

    pub(crate) fn can_wake(&self, world: &World) -> bool {
        let is_watching = self.commit == Commit::Awaited || world.has_slow_looks;
        is_watching && !self.is_finished(world) && self.barrier.next_tick_ns() <= world.now
    }

    pub(crate) const fn can_look(&self) -> bool {
        matches!(self.look, Look::Asked(_))
    }

    pub(crate) const fn can_see(&self) -> bool {
        matches!(self.look, Look::Answered(..))
    }

    pub(crate) fn can_challenge(&self) -> bool {
        self.challenges.iter().any(|challenge| challenge.answer.is_none())
    }

    pub(crate) fn can_be_challenged(&self) -> bool {
        self.challenges.iter().any(|challenge| challenge.answer.is_some())
    }

    pub(crate) const fn can_fence(&self) -> bool {
        !self.fences.is_empty()
    }

    /// The next change is committed.
    pub(crate) fn commit(&mut self, store: &mut Store, world: &World) -> Option<()> {
        let planned = world.script.get(usize::from(self.at))?;
        if self.commit != Commit::None {
            return None;
        }
        self.commit = Commit::Unknown(store.commit(planned.change, world)?);
        Some(())
    }

    /// The caller gets to know.
    pub(crate) fn know(&mut self, store: &mut Store, nodes: &mut [Node], world: &World) -> Option<()> {
        let Commit::Unknown(sequence) = self.commit else { return None };
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
            nodes[own].advance(sequence, planned.change, world);
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
        let Look::Asked(at) = self.look else { return None };
        let mut rows = store.rows.clone();
        if !world.counts_renewals {
            // As if it had polled since the look before, whose number is forgotten: see `canonicalize`.
            rows.iter_mut().for_each(|row| row.renewals = 1);
        }
        self.look = Look::Answered(at, rows);
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
        let Look::Answered(asked_at_ns, rows) = std::mem::replace(&mut self.look, Look::None) else {
            return None;
        };
        let own = world.own.and_then(|own| Some((nodes[own].follower.incarnation()?, nodes[own].sequence)));
        self.step(Input::Looked { asked_at_ns, rows, own }, true, store, world);
        Some(())
    }

    pub(crate) fn challenge(&mut self, store: &mut Store) -> Option<()> {
        let open = self.challenges.iter_mut().find(|challenge| challenge.answer.is_none())?;
        open.answer = Some(store.challenge(open.node, open.renewals, open.sequence));
        Some(())
    }

    pub(crate) fn challenged(&mut self, store: &mut Store, world: &World) -> Option<()> {
        let index = self.challenges.iter().position(|challenge| challenge.answer.is_some())?;
        let Challenge { node, sequence, answer, .. } = self.challenges.remove(index);
        let is_silent = answer?;
        self.step(Input::Challenged { node, sequence, is_silent }, false, store, world);
        Some(())
    }

    pub(crate) fn fence(&mut self, store: &mut Store, world: &World) -> Option<()> {
        let (node, renewals) = self.fences.pop()?;
        store.fence(node, renewals);
        self.step(Input::Fenced { node }, false, store, world);
        Some(())
    }

    fn step(&mut self, input: Input, is_look: bool, store: &mut Store, world: &World) {
        for output in self.barrier.step(world.now, input) {
            match output {
                Output::Look => self.look = Look::Asked(world.now),
                Output::Challenge { node, renewals, sequence } if world.counts_renewals => {
                    let answer = world.is(Mutant::SilentWithoutChallenge).then_some(true);
                    self.challenges.push(Challenge { node, renewals, sequence, answer });
                }
                Output::Fence { node, renewals } if world.counts_renewals => {
                    self.fences.push((node, renewals));
                }
                // Only a change of history brings it about, and the model does not tell the barrier of one.
                Output::Challenge { .. } | Output::Fence { .. } | Output::Overtaken(_) => {}
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
