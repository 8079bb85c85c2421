//! PostgreSQL, as far as the protocol can see it: statements with snapshots, rows that are waited for, acknowledgements
//! that a crash loses, and a standby that lags.

use keywright_domain::control::{Anchor, Epoch, Incarnation, NodeRow, PollReply, history_began};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    head: u64,
    stable: u64,
    generation: u64,
    is_generation_settled: bool,
    epoch: Epoch,
    generation_epoch: Epoch,
    is_anchored: bool,
}

/// A commit that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) sequence: u64,
    /// Whether the entry with this number is the revocation that was asked for.
    pub(crate) is_new: bool,
}

/// The numbers of a history that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Far above all that were given out before.
    New,
    /// They go on where the standby is: mutant.
    Again,
}

/// An entry: this key is revoked.
type Entry = (u64, u8);

#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) head: u64,
    pub(crate) log: Vec<Entry>,
    pub(crate) stable: u64,
    pub(crate) rows: Vec<NodeRow>,
    /// What of each row's acknowledgement is on disk.
    synced: Vec<u64>,
    generation: u64,
    epoch: Epoch,
    generation_epoch: Epoch,
    /// Counts connections' lives: what began before a crash ends with it.
    pub(crate) life: u64,
    pub(crate) is_up: bool,
}

impl Database {
    pub(crate) const fn new() -> Self {
        Self {
            head: 0,
            log: Vec::new(),
            stable: 0,
            rows: Vec::new(),
            synced: Vec::new(),
            generation: 0,
            epoch: Epoch { system: 1, timeline: 1 },
            generation_epoch: Epoch { system: 0, timeline: 0 },
            life: 0,
            is_up: true,
        }
    }

    pub(crate) fn revoked(&self) -> u64 {
        self.log.iter().fold(0, |keys, (_, key)| keys | 1 << key)
    }

    /// The sequence number at which the key's revocation is in force, new or not; `None` while nothing may be committed.
    /// One that is in force already is told by a commit of its own, with the head's number.
    pub(crate) fn revoke(&mut self, key: u8) -> Option<Committed> {
        if self.generation > 0 && self.epoch != self.generation_epoch {
            return None;
        }
        if self.log.iter().any(|(_, revoked)| *revoked == key) {
            return Some(Committed { sequence: self.head, is_new: false });
        }
        self.head += 1;
        self.log.push((self.head, key));
        Some(Committed { sequence: self.head, is_new: true })
    }

    pub(crate) fn register(&mut self, name: String, run: Incarnation, applied: u64, reasserted: Option<u64>) {
        self.rows.push(NodeRow {
            name,
            incarnation: run,
            address: String::new(),
            version: String::new(),
            applied,
            renewals: 0,
            challenge: 0,
            reasserted: reasserted.unwrap_or(self.generation),
            is_fenced: false,
        });
        self.synced.push(applied);
    }

    fn place(&self, run: Incarnation) -> Option<usize> {
        self.rows.iter().position(|row| row.incarnation == run)
    }

    /// The entries after `after`; `None` if they do not follow on it.
    pub(crate) fn fetch(&self, after: u64) -> Option<Vec<Entry>> {
        let found: Vec<_> = self.log.iter().filter(|(sequence, _)| *sequence > after).copied().collect();
        found.first().map_or(after >= self.head, |(sequence, _)| *sequence == after + 1).then_some(found)
    }

    pub(crate) fn snapshot(&self, anchor: Option<Anchor>) -> Snapshot {
        let rows = &self.rows;
        Snapshot {
            head: self.head,
            stable: self.stable,
            generation: self.generation,
            is_generation_settled: rows.iter().all(|row| row.is_fenced || row.reasserted >= self.generation),
            epoch: self.epoch,
            generation_epoch: self.generation_epoch,
            is_anchored: anchor.is_none_or(|anchor| anchor.audit_sequence <= self.head),
        }
    }

    /// The poll has waited for its row: the update sees the row as it is now, the answer the snapshot of before.
    pub(crate) fn poll(&mut self, run: Incarnation, applied: u64, seen: Snapshot) -> PollReply {
        let place = self.place(run).filter(|place| !self.rows[*place].is_fenced);
        let row = place.map(|place| {
            let row = &mut self.rows[place];
            row.renewals += 1;
            row.applied = row.applied.max(applied);
            self.synced[place] = row.applied;
            row.clone()
        });
        PollReply {
            is_alive: row.is_some(),
            head: seen.head,
            stable: seen.stable,
            generation: seen.generation,
            is_generation_settled: seen.is_generation_settled,
            reasserted: row.as_ref().map_or(0, |row| row.reasserted),
            challenge: row.as_ref().map_or(0, |row| row.challenge),
            is_anchored: seen.is_anchored,
            anchor: Anchor { audit_sequence: seen.head, audit_hash: [0; 32] },
            epoch: seen.epoch,
            generation_epoch: seen.generation_epoch,
            nodes: 0,
            is_standby: false,
            wall_ms: 0,
        }
    }

    /// Not synced: a crash may lose it.
    pub(crate) fn acknowledge(&mut self, run: Incarnation, applied: u64) {
        if let Some(place) = self.place(run) {
            self.rows[place].applied = self.rows[place].applied.max(applied);
        }
    }

    pub(crate) fn challenge(&mut self, run: Incarnation, renewals: u64, sequence: u64) -> bool {
        let place = self.place(run).filter(|place| self.rows[*place].renewals == renewals);
        place.is_some_and(|place| {
            self.rows[place].challenge = self.rows[place].challenge.max(sequence);
            true
        })
    }

    pub(crate) fn fence(&mut self, run: Incarnation, renewals: u64) {
        if let Some(place) = self.place(run).filter(|place| self.rows[*place].renewals == renewals) {
            self.rows[place].is_fenced = true;
        }
    }

    /// `numbers`: whether those of a new history are new.
    pub(crate) fn begin_generation(&mut self, generation: u64, epoch: Epoch, numbers: Numbers) {
        if self.generation == generation && self.epoch == epoch {
            if generation > 0 && numbers == Numbers::New {
                self.head = ((self.head >> 32) + 1) << 32;
            }
            self.generation += 1;
            self.generation_epoch = epoch;
        }
    }

    pub(crate) fn reassert(&mut self, run: Incarnation, knows: u64, generation: u64) {
        if generation > 1 {
            let lost = knows & !self.revoked();
            for key in (0..64_u8).filter(|key| lost >> key & 1 == 1) {
                self.head += 1;
                self.log.push((self.head, key));
            }
        }
        if let Some(place) = self.place(run) {
            self.rows[place].reasserted = self.rows[place].reasserted.max(generation);
        }
    }

    /// Killed at once, and started again later.
    pub(crate) fn crash(&mut self) {
        self.is_up = false;
        self.life += 1;
        for (row, synced) in self.rows.iter_mut().zip(&self.synced) {
            row.applied = *synced;
        }
    }

    /// A standby takes over that has everything but the last `lost` entries.
    pub(crate) fn promote(&mut self, lost: usize) {
        self.crash();
        self.log.truncate(self.log.len().saturating_sub(lost));
        let begun = if self.generation > 1 { history_began(self.head) } else { 0 };
        self.head = self.log.last().map_or(0, |(sequence, _)| *sequence).max(begun);
        for row in &mut self.rows {
            row.applied = row.applied.min(self.head);
        }
        self.stable = self.stable.min(self.head);
        self.epoch.timeline += 1;
        self.is_up = true;
    }
}
