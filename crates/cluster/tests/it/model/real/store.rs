//! The shared store, as far as the protocol sees it. Each method is one statement.

use std::collections::BTreeSet;

use keywright_cluster::follower::Operation;
use keywright_domain::{
    control::{Anchor, Epoch, Incarnation, NodeRow, PollReply},
    lease::LeaseTerm,
};

use super::{Mutant, World};

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    /// The key is revoked.
    Revoke,
    /// Something else.
    Other,
    /// The workspace's terms.
    Terms { lease: LeaseTerm, wait: LeaseTerm },
}

/// What the log adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Truth {
    pub(crate) is_revoked: bool,
    pub(crate) lease: LeaseTerm,
    pub(crate) wait: LeaseTerm,
}

impl Truth {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Revoke => self.is_revoked = true,
            Change::Other => {}
            Change::Terms { lease, wait } => (self.lease, self.wait) = (lease, wait),
        }
    }
}

/// What a poll's statement sees when it starts. It waits for its row afterwards, and keeps the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Snapshot {
    pub(crate) head: u64,
    stable: u64,
    generation: u64,
    is_generation_settled: bool,
    epoch: Epoch,
    generation_epoch: Epoch,
}

/// The numbers of a generation begin at a multiple of this.
pub(crate) const JUMP: u64 = 1 << 32;

/// Runs, and how many polls they have made, told by numbers as low as may be: only whether two are the same matters, and
/// whether there was a poll at all.
pub(crate) struct Names {
    runs: Vec<Incarnation>,
    /// By run, from the lowest.
    renewals: Vec<BTreeSet<u64>>,
}

impl Names {
    /// For the runs in this order, and all numbers of polls that are known of each.
    fn new(runs: Vec<Incarnation>, known: impl Iterator<Item = (Incarnation, u64)>) -> Self {
        let mut renewals = vec![BTreeSet::from([0]); runs.len()];
        for (run, number) in known {
            if let Some(index) = runs.iter().position(|other| *other == run) {
                renewals[index].insert(number);
            }
        }
        Self { runs, renewals }
    }

    fn index(&self, run: Incarnation) -> usize {
        self.runs.iter().position(|other| *other == run).expect("every run that is referred to has a row")
    }

    pub(crate) fn run(&self, run: Incarnation) -> Incarnation {
        numbered(self.index(run))
    }

    pub(crate) fn renewals(&self, run: Incarnation, number: u64) -> u64 {
        self.renewals[self.index(run)].range(..number).count() as u64
    }
}

fn numbered(index: usize) -> Incarnation {
    Incarnation([u8::try_from(index + 1).expect("few runs"); 16])
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    first: Truth,
    log: Vec<(u64, Change)>,
    pub(crate) head: u64,
    stable: u64,
    pub(crate) rows: Vec<NodeRow>,
    pub(crate) generation: u64,
    generation_epoch: Epoch,
    epoch: Epoch,
    next_run: usize,
    /// Whether a run was fenced whose row nobody refers to any more.
    pub(crate) has_fenced: bool,
}

impl Store {
    pub(crate) fn new(first: Truth) -> Self {
        let epoch = Epoch { system: 1, timeline: 1 };
        Self {
            first,
            log: Vec::new(),
            head: 0,
            stable: 0,
            rows: Vec::new(),
            generation: 1,
            generation_epoch: epoch,
            epoch,
            next_run: 0,
            has_fenced: false,
        }
    }

    pub(crate) fn truth(&self) -> Truth {
        let mut truth = self.first;
        self.log.iter().for_each(|(_, change)| truth.apply(*change));
        truth
    }

    /// Drops the rows of fenced runs that nobody `refers` to any more: each statement either leaves them aside, or is meant
    /// for another row. Then gives the others the lowest names.
    pub(crate) fn rename(
        &mut self,
        refers: impl Fn(Incarnation) -> bool,
        known: impl Iterator<Item = (Incarnation, u64)>,
    ) -> Names {
        let before = self.rows.len();
        self.rows.retain(|row| !row.is_fenced || refers(row.incarnation));
        self.has_fenced |= self.rows.len() < before;
        let runs = self.rows.iter().map(|row| row.incarnation).collect();
        let own = self.rows.iter().map(|row| (row.incarnation, row.renewals));
        let names = Names::new(runs, known.chain(own.collect::<Vec<_>>()));
        for row in &mut self.rows {
            row.renewals = names.renewals(row.incarnation, row.renewals);
            row.incarnation = names.run(row.incarnation);
        }
        self.next_run = self.rows.len();
        names
    }

    /// Nobody will look for acknowledgements any more.
    pub(crate) fn forget_acknowledgements(&mut self) {
        self.rows.iter_mut().for_each(|row| row.applied = 0);
    }

    /// Appends to the log; `None` while nothing may be. What is in force already is told by a commit of its own, with the
    /// head's number. Also whether the entry with this number is the change.
    pub(crate) fn commit(&mut self, change: Change, world: &World) -> Option<(u64, bool)> {
        if self.epoch != self.generation_epoch && !world.is(Mutant::CommitBeforeGeneration) {
            return None;
        }
        if change == Change::Revoke && self.truth().is_revoked {
            return Some((self.head, false));
        }
        self.head += 1;
        self.log.push((self.head, change));
        Some((self.head, true))
    }

    /// The changes after `after`; `None` if they do not follow on it.
    pub(crate) fn fetch(&self, after: u64) -> Option<Vec<(u64, Change)>> {
        let found: Vec<_> = self.log.iter().filter(|(sequence, _)| *sequence > after).copied().collect();
        let follows = found.first().map_or(after >= self.head, |(sequence, _)| *sequence == after + 1);
        follows.then_some(found)
    }

    /// The entry with this number.
    pub(crate) fn entry(&self, sequence: u64) -> Option<(u64, Change)> {
        self.log.iter().find(|(found, _)| *found == sequence).copied()
    }

    pub(crate) fn register(&mut self, operation: Operation, world: &World) -> Option<Incarnation> {
        let Operation::Register { applied, reasserted } = operation else { return None };
        let run = self.fresh_run();
        let row = NodeRow {
            name: String::new(),
            incarnation: run,
            address: String::new(),
            version: String::new(),
            applied,
            renewals: 0,
            challenge: 0,
            reasserted: reasserted.unwrap_or(self.generation),
            is_fenced: false,
        };
        if world.is(Mutant::RowKeyedByName) {
            self.rows.clear();
        }
        self.rows.push(row);
        Some(run)
    }

    pub(crate) fn fresh_run(&mut self) -> Incarnation {
        self.next_run += 1;
        numbered(self.next_run - 1)
    }

    pub(crate) fn row(&mut self, run: Incarnation) -> Option<&mut NodeRow> {
        self.rows.iter_mut().find(|row| row.incarnation == run)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            head: self.head,
            stable: self.stable,
            generation: self.generation,
            is_generation_settled: self
                .rows
                .iter()
                .all(|row| row.is_fenced || row.reasserted >= self.generation),
            epoch: self.epoch,
            generation_epoch: self.generation_epoch,
        }
    }

    /// The poll got its row, and commits.
    pub(crate) fn poll(
        &mut self,
        run: Incarnation,
        applied: u64,
        seen: Snapshot,
        world: &World,
    ) -> PollReply {
        let acknowledged = if world.is(Mutant::AckBeforeApply) { applied.max(seen.head) } else { applied };
        let counts = world.counts_renewals;
        let row = self.row(run).filter(|row| !row.is_fenced);
        let (is_alive, reasserted, challenge) = row.map_or((false, 0, 0), |row| {
            row.renewals += u64::from(counts);
            row.applied = row.applied.max(acknowledged);
            (true, row.reasserted, row.challenge)
        });
        PollReply {
            is_alive: is_alive || world.is(Mutant::RegistrationAfterSnapshot),
            head: seen.head,
            stable: seen.stable,
            generation: seen.generation,
            is_generation_settled: seen.is_generation_settled,
            reasserted: if is_alive { reasserted } else { seen.generation },
            challenge: if world.is(Mutant::ChallengeIgnored) { 0 } else { challenge },
            is_anchored: true,
            anchor: Anchor { audit_sequence: 0, audit_hash: [0; 32] },
            epoch: seen.epoch,
            generation_epoch: seen.generation_epoch,
            nodes: 0,
            is_standby: false,
            wall_ms: 0,
        }
    }

    pub(crate) fn acknowledge(&mut self, run: Incarnation, applied: u64) {
        if let Some(row) = self.row(run) {
            row.applied = row.applied.max(applied);
        }
    }

    pub(crate) fn challenge(&mut self, run: Incarnation, renewals: u64, sequence: u64) -> bool {
        self.row(run).filter(|row| row.renewals == renewals).is_some_and(|row| {
            row.challenge = row.challenge.max(sequence);
            true
        })
    }

    pub(crate) fn fence(&mut self, run: Incarnation, renewals: u64) {
        if let Some(row) = self.row(run).filter(|row| row.renewals == renewals) {
            row.is_fenced = true;
        }
    }

    pub(crate) fn settle(&mut self, sequence: u64) {
        self.stable = self.stable.max(sequence);
    }

    pub(crate) fn begin_generation(&mut self, generation: u64, epoch: Epoch, world: &World) {
        if self.generation == generation && self.epoch == epoch {
            self.generation += 1;
            self.generation_epoch = epoch;
            if !world.is(Mutant::SequencesReused) {
                self.head = (self.head / JUMP + 1) * JUMP;
            }
        }
    }

    /// What `run` knew to be revoked is revoked again.
    pub(crate) fn reassert(&mut self, run: Incarnation, knows_revoked: bool, generation: u64, world: &World) {
        if knows_revoked && !self.truth().is_revoked && !world.is(Mutant::NoReassertion) {
            self.head += 1;
            self.log.push((self.head, Change::Revoke));
        }
        if let Some(row) = self.row(run) {
            row.reasserted = row.reasserted.max(generation);
        }
    }

    /// A standby that lacks the last change becomes the primary.
    pub(crate) fn promote(&mut self) -> bool {
        let is_lossy = self.log.pop().is_some();
        self.head = self.log.last().map_or(0, |(sequence, _)| *sequence);
        for row in &mut self.rows {
            // An acknowledgement is in the write-ahead log behind what it acknowledges.
            row.applied = row.applied.min(self.head);
        }
        self.stable = self.stable.min(self.head);
        self.epoch.timeline += 1;
        is_lossy
    }
}
