//! A node: the crate's own [`Follower`], what it has in memory, and one verification at a time.

use std::hash::{DefaultHasher, Hash, Hasher};

use keywright_cluster::{
    Follower, TermTable,
    follower::{Input, Operation, Output},
};
use keywright_domain::control::{Incarnation, PollReply};

use super::{
    Mutant, World,
    store::{Change, Names, Snapshot, Store, Truth},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Sent,
    /// A poll that waits for its row.
    Started(Snapshot),
    /// A connection that ended.
    Broken,
    Fetched(Vec<(u64, Change)>),
    Loaded(u64, Truth),
    Answered(Input),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flags {
    late: bool,
    after_rejection: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Verification {
    None,
    /// The leases were read first, as they were then.
    Leased(Flags, TermTable<u64>),
    /// The mutant: the entry was read first, and it was active.
    Read(Flags),
    Decided(Flags, u64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct Node {
    pub(crate) follower: Follower,
    flight: Option<(Operation, Stage)>,
    /// When the operation in flight was begun, for mutants that count from there.
    sent_at: u64,
    pub(crate) memory: Truth,
    pub(crate) sequence: u64,
    /// When the revocation was received.
    received_at: u64,
    stable: u64,
    lease: TermTable<u64>,
    verification: Verification,
    /// The mutant: registered, but the row is not committed.
    is_row_missing: bool,
    /// Nothing that it does matters any more.
    is_frozen: bool,
    /// Whether this process committed the revocation, and knows it.
    has_committed: bool,
    /// Whether a re-assertion is under way that includes the revocation.
    reasserts_revoked: bool,
}

/// What a verification led to.
pub(crate) enum Verdict {
    Rejected,
    /// Not at its end yet, or at none.
    Open,
    Accepted {
        late: bool,
        after_rejection: bool,
    },
}

impl Node {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            follower: Follower::new(world.timing),
            flight: None,
            sent_at: 0,
            memory: world.first,
            sequence: 0,
            received_at: 0,
            stable: 0,
            lease: [0; 4],
            verification: Verification::None,
            is_row_missing: false,
            is_frozen: false,
            has_committed: false,
            reasserts_revoked: false,
        }
    }

    /// It will never have the key active again, and nobody asks what it does.
    pub(crate) fn freeze(&mut self, world: &World) {
        *self = Self { is_frozen: true, ..Self::new(world) };
        self.memory.is_revoked = true;
    }

    pub(crate) const fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    pub(crate) fn restart(&mut self, world: &World) {
        *self = Self::new(world);
    }

    /// Whether it is re-asserting what it knows.
    pub(crate) const fn is_reasserting(&self) -> bool {
        matches!(self.flight, Some((Operation::Reassert { .. }, _)))
    }

    /// A tick of the node's clock has passed.
    pub(crate) fn tick(&mut self) {
        self.follower = self.follower.clone().rebased(1);
        let earlier = |at: &mut u64| *at = at.saturating_sub(1);
        self.lease.iter_mut().for_each(earlier);
        earlier(&mut self.received_at);
        earlier(&mut self.sent_at);
        match &mut self.verification {
            Verification::Leased(_, ends) => ends.iter_mut().for_each(earlier),
            Verification::Decided(_, end) => earlier(end),
            Verification::None | Verification::Read(_) => {}
        }
    }

    /// Drops what makes no difference any more: moments that are over, and verifications that can only end without a verdict.
    pub(crate) fn canonicalize(&mut self, world: &World) {
        self.follower = self.follower.clone().canonical(world.now);
        self.reasserts_revoked &= self.is_reasserting();
        let forget_past = |at: &mut u64| *at = if *at <= world.now { 0 } else { *at };
        self.lease.iter_mut().for_each(forget_past);
        if self.received_at + world.timing.wait_ns(world.first.wait) <= world.now {
            self.received_at = 0;
        }
        match &mut self.verification {
            Verification::Leased(_, ends) => {
                ends.iter_mut().for_each(forget_past);
                if *ends == [0; 4] {
                    self.verification = Verification::None;
                }
            }
            Verification::Decided(_, end) if *end <= world.now => self.verification = Verification::None,
            Verification::None | Verification::Read(_) | Verification::Decided(..) => {}
        }
    }

    /// Drops a challenge that every answer from now on meets.
    pub(crate) fn forget_challenges(&mut self, store: &mut Store) {
        if let Some((_, Stage::Answered(Input::Polled(reply)))) = &mut self.flight
            && reply.challenge <= reply.head
        {
            reply.challenge = 0;
        }
        let seen = match &self.flight {
            Some((_, Stage::Started(seen))) => seen.head,
            _ => store.head,
        };
        let Some(run) = self.follower.incarnation() else { return };
        if let Some(row) = store.row(run).filter(|row| row.challenge <= seen) {
            row.challenge = 0;
        }
    }

    /// Whether it is this run, or has yet to be told that it is not.
    pub(crate) fn is_run(&self, run: Incarnation) -> bool {
        let sent = self.flight.as_ref().is_some_and(|(operation, _)| match operation {
            Operation::Poll { incarnation, .. }
            | Operation::Acknowledge { incarnation, .. }
            | Operation::Reassert { incarnation, .. } => *incarnation == run,
            _ => false,
        });
        sent || self.follower.incarnation() == Some(run)
    }

    pub(crate) fn rename(&mut self, names: &Names) {
        self.follower = self.follower.clone().renamed(|run| names.run(run));
        if let Some((operation, _)) = &mut self.flight {
            *operation = operation.renamed(|run| names.run(run));
        }
    }

    pub(crate) fn has_lease(&self, world: &World) -> bool {
        self.lease.iter().any(|end| world.now < *end)
    }

    /// Any order will do, if it is always the same.
    pub(crate) fn order(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the key will never be active here again, provided that the store holds its revocation.
    pub(crate) fn has_revoked_for_good(&self) -> bool {
        let loads_old = matches!(&self.flight, Some((_, Stage::Loaded(_, truth))) if !truth.is_revoked);
        let has_read = matches!(self.verification, Verification::Read(_) | Verification::Decided(..));
        self.memory.is_revoked && !loads_old && !has_read
    }

    pub(crate) fn can_wake(&self, world: &World) -> bool {
        self.follower.next_tick_ns().is_some_and(|at| at <= world.now)
    }

    pub(crate) const fn can_execute(&self) -> bool {
        matches!(self.flight, Some((_, Stage::Sent | Stage::Started(_))))
    }

    pub(crate) const fn can_apply(&self) -> bool {
        matches!(self.flight, Some((_, Stage::Fetched(_))))
    }

    pub(crate) const fn can_deliver(&self) -> bool {
        matches!(self.flight, Some((_, Stage::Answered(_) | Stage::Loaded(..))))
    }

    pub(crate) const fn can_lose(&self) -> bool {
        self.flight.is_some()
    }

    pub(crate) fn is_verifying(&self) -> bool {
        self.verification != Verification::None
    }

    pub(crate) fn wake(&mut self, world: &World) -> Option<()> {
        (self.follower.next_tick_ns()? <= world.now).then(|| self.step(&Input::Tick, world))
    }

    pub(crate) fn announce(&mut self, sequence: u64, world: &World) -> Option<()> {
        let matters = self.follower.is_following() && self.follower.applied() < sequence;
        matters.then(|| self.step(&Input::Announced { sequence }, world))
    }

    /// An announcement tells what the next change is.
    pub(crate) fn tell(&mut self, store: &Store, world: &World) -> Option<()> {
        let next = store.entry(self.sequence + 1).filter(|_| self.follower.is_following())?;
        self.take_in(next, world);
        self.step(&Input::Told { applied: self.sequence }, world);
        Some(())
    }

    pub(crate) fn step(&mut self, input: &Input, world: &World) {
        for output in self.follower.step(world.now, input) {
            match output {
                Output::DropLeases => self.lease = [0; 4],
                Output::Lease(ends) => {
                    let from_receipt = world.timing.terms_ns.map(|term| world.now + term);
                    self.lease = if world.is(Mutant::LeaseFromReceipt) { from_receipt } else { ends };
                }
                Output::Stable(sequence) if world.is_atomic => self.stable = self.stable.max(sequence),
                Output::Stable(_) | Output::WallClock { .. } => {}
                Output::Begin(operation) => {
                    self.flight = Some((operation, Stage::Sent));
                    // Gathered now, and not when it arrives.
                    self.reasserts_revoked = self.memory.is_revoked || self.has_committed;
                    if world.is(Mutant::AtomicTimerFromSend) && matches!(operation, Operation::Poll { .. }) {
                        self.sent_at = world.now;
                    }
                }
            }
        }
    }

    /// The store takes the statement one step further.
    pub(crate) fn execute(&mut self, store: &mut Store, world: &World) -> Option<()> {
        let (operation, stage) = self.flight.as_mut()?;
        let next = match (*operation, &*stage) {
            (Operation::Register { .. }, Stage::Sent) if world.is(Mutant::RegistrationAfterSnapshot) => {
                self.is_row_missing = true;
                Stage::Answered(Input::Registered(store.fresh_run()))
            }
            (Operation::Register { .. }, Stage::Sent) => {
                Stage::Answered(Input::Registered(store.register(*operation, world)?))
            }
            (Operation::Load, Stage::Sent) => Stage::Loaded(store.head, store.truth()),
            (Operation::Poll { .. }, Stage::Sent) => Stage::Started(store.snapshot()),
            (Operation::Poll { incarnation, applied, .. }, Stage::Started(seen)) => {
                Stage::Answered(Input::Polled(store.poll(incarnation, applied, *seen, world)))
            }
            (Operation::Fetch { after }, Stage::Sent) => {
                store.fetch(after).map_or(Stage::Answered(Input::Gap), Stage::Fetched)
            }
            (Operation::Acknowledge { incarnation, applied }, Stage::Sent) => {
                store.acknowledge(incarnation, applied);
                Stage::Answered(Input::Acknowledged { applied })
            }
            (Operation::BeginGeneration { generation, epoch }, Stage::Sent) => {
                store.begin_generation(generation, epoch, world);
                Stage::Answered(Input::GenerationBegun)
            }
            (Operation::Reassert { incarnation, generation }, Stage::Sent) => {
                store.reassert(incarnation, self.reasserts_revoked, generation, world);
                Stage::Answered(Input::Reasserted { generation })
            }
            _ => return None,
        };
        *stage = next;
        if matches!(stage, Stage::Started(_)) && !world.is_fine && !world.counts_renewals {
            return self.execute(store, world);
        }
        // Only where time between the two matters are they two steps.
        match operation {
            Operation::Register { .. } | Operation::BeginGeneration { .. } | Operation::Reassert { .. } => {
                self.deliver(world)
            }
            Operation::Acknowledge { .. } if !world.is_fine => self.deliver(world),
            _ => Some(()),
        }
    }

    /// The mutant's row is committed at last.
    pub(crate) fn commit_row(&mut self, store: &mut Store, world: &World) -> Option<()> {
        let run = self.follower.incarnation().filter(|_| self.is_row_missing)?;
        let register = Operation::Register { applied: 0, reasserted: None };
        let taken = store.register(register, world)?;
        store.row(taken)?.incarnation = run;
        self.is_row_missing = false;
        Some(())
    }

    /// What was fetched is put into memory.
    pub(crate) fn apply(&mut self, world: &World) -> Option<()> {
        let (_, stage) = self.flight.as_mut()?;
        let Stage::Fetched(changes) = stage else { return None };
        let changes = std::mem::take(changes);
        *stage = Stage::Answered(Input::Fetched { applied: 0 });
        for change in changes {
            self.take_in(change, world);
        }
        let applied = self.sequence;
        self.flight.as_mut()?.1 = Stage::Answered(Input::Fetched { applied });
        if world.is_fine { Some(()) } else { self.deliver(world) }
    }

    fn take_in(&mut self, (sequence, change): (u64, Change), world: &World) {
        if sequence != self.sequence + 1 {
            return;
        }
        self.sequence = sequence;
        if change == Change::Revoke && !self.memory.is_revoked {
            let at = if self.sent_at == 0 { world.now } else { self.sent_at };
            self.received_at = if world.is_atomic { at } else { 0 };
        }
        self.memory.apply(change);
    }

    /// The node's own commit.
    pub(crate) fn advance(&mut self, (sequence, change): (u64, Change), is_new: bool, world: &World) {
        self.has_committed |= change == Change::Revoke;
        if is_new && self.follower.is_following() && self.sequence + 1 == sequence {
            self.take_in((sequence, change), world);
            self.step(&Input::Advanced { applied: sequence }, world);
        }
    }

    /// The answer arrives.
    pub(crate) fn deliver(&mut self, world: &World) -> Option<()> {
        match &self.flight.as_ref()?.1 {
            Stage::Answered(_) | Stage::Loaded(..) => {}
            Stage::Sent | Stage::Started(_) | Stage::Broken | Stage::Fetched(_) => return None,
        }
        match self.flight.take()?.1 {
            Stage::Loaded(sequence, truth) => {
                (self.sequence, self.memory) = (sequence, truth);
                self.received_at = if truth.is_revoked && world.is_atomic { world.now } else { 0 };
                self.step(&Input::Loaded { sequence }, world);
            }
            Stage::Answered(Input::Polled(reply)) if world.is(Mutant::LeaseBeforeApply) => {
                let head = reply.head.min(self.sequence);
                self.step(&Input::Polled(PollReply { head, ..reply }), world);
                self.step(&Input::Announced { sequence: reply.head }, world);
            }
            Stage::Answered(input) => self.step(&input, world),
            _ => return None,
        }
        Some(())
    }

    /// The statement or its answer is lost.
    pub(crate) fn lose(&mut self, is_free: bool, world: &World) -> Option<()> {
        let is_broken = matches!(self.flight.as_ref()?.1, Stage::Broken);
        if !is_free && !is_broken {
            return None;
        }
        self.flight = None;
        self.step(&Input::Failed, world);
        Some(())
    }

    pub(crate) const fn is_broken(&self) -> bool {
        matches!(self.flight, Some((_, Stage::Broken)))
    }

    /// The server is gone. Answers that left it may still arrive.
    pub(crate) fn cut(&mut self) {
        if let Some((_, stage @ (Stage::Started(_) | Stage::Fetched(_)))) = &mut self.flight {
            *stage = Stage::Broken;
        }
    }

    /// What a verification that takes no time comes to.
    pub(crate) fn verdict(&self, world: &World) -> Option<bool> {
        let is_leased = world.now < self.lease[self.memory.lease as usize] || world.is(Mutant::NoLeaseCheck);
        match self.memory.is_revoked {
            _ if !is_leased => None,
            false => Some(true),
            true => self.rejects(world).then_some(false),
        }
    }

    pub(crate) fn begin_verification(
        &mut self,
        late: bool,
        after_rejection: bool,
        world: &World,
    ) -> Option<()> {
        // Others can break nothing, and reject nothing.
        let matters = late || after_rejection || (self.memory.is_revoked && world.is_p2_tracked);
        if self.verification != Verification::None || !matters {
            return None;
        }
        let flags = Flags { late, after_rejection };
        if world.is(Mutant::EntryBeforeLease) {
            (!self.memory.is_revoked).then(|| self.verification = Verification::Read(flags))
        } else {
            let ends = if world.is(Mutant::NoLeaseCheck) { [u64::MAX; 4] } else { self.lease };
            ends.iter()
                .any(|end| world.now < *end)
                .then(|| self.verification = Verification::Leased(flags, ends))
        }
    }

    pub(crate) fn continue_verification(&mut self, world: &World) -> Option<Verdict> {
        let verification = std::mem::replace(&mut self.verification, Verification::None);
        let accepted =
            |flags: Flags| Verdict::Accepted { late: flags.late, after_rejection: flags.after_rejection };
        let verdict = match verification {
            Verification::None => return None,
            Verification::Leased(flags, ends) => {
                let end = ends[self.memory.lease as usize];
                if world.now >= end {
                    None
                } else if self.memory.is_revoked {
                    self.rejects(world).then_some(Verdict::Rejected)
                } else {
                    self.verification = Verification::Decided(flags, end);
                    None
                }
            }
            Verification::Read(flags) => self.has_lease(world).then(|| accepted(flags)),
            Verification::Decided(flags, end) => (world.now < end).then(|| accepted(flags)),
        };
        Some(verdict.unwrap_or(Verdict::Open))
    }

    /// Whether a node that knows of the revocation says so.
    fn rejects(&self, world: &World) -> bool {
        !world.is_atomic
            || self.stable >= self.sequence
            || world.now >= self.received_at + world.timing.wait_ns(world.first.wait)
    }
}
