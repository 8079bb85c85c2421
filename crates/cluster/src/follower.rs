//! What a node does to follow the change log, and when it may answer from memory.
//!
//! One operation is in flight at a time. The driver carries out what it is told, and reports what came of it:
//!
//! What other nodes commit, it fetches, unless the announcement told what it is.
//!
//! ```text
//! register ─► load ─► poll ─► (fetch and apply)* ─► lease ─► acknowledge ─┐
//!                      ▲                                                   │
//!                      └──── every 2 s, or fetch at once when announced ◄──┘
//! ```

use keywright_domain::control::{Anchor, Epoch, Incarnation, PollReply};

use crate::{TermTable, Timing};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Time passed. Also the first input of all.
    Tick,
    /// The row of this incarnation is committed.
    Registered(Incarnation),
    /// The whole state was read into memory as of `sequence`.
    Loaded {
        /// What the state reflects.
        sequence: u64,
    },
    /// The poll was answered.
    Polled(PollReply),
    /// Changes were fetched, and applied up to `applied`, inclusive.
    Fetched {
        /// The last sequence number that was applied, by the fetch or by anyone else on this node.
        applied: u64,
    },
    /// The acknowledgement is on its way to the store's disk.
    Acknowledged {
        /// What was acknowledged.
        applied: u64,
    },
    /// A new generation was begun, by this node or by another one.
    GenerationBegun,
    /// What this node knew of the history before is in effect again.
    Reasserted {
        /// For this generation.
        generation: u64,
    },
    /// What was fetched does not follow on what is in memory: the log was pruned meanwhile, or its numbers belong to
    /// another generation. Nothing of it was applied. Ends a [`Operation::Fetch`], as [`Input::Fetched`] does.
    Gap,
    /// The operation failed, or took too long and was given up. Its answer must not be reported any more.
    Failed,
    /// A change was announced.
    Announced {
        /// Its sequence number.
        sequence: u64,
    },
    /// Announcements told what the changes are, and they were applied without a gap, up to `applied`.
    Told {
        /// The last sequence number that was applied.
        applied: u64,
    },
    /// The node's own commits were applied without a gap, up to `applied`.
    Advanced {
        /// The last sequence number that was applied.
        applied: u64,
    },
    /// The node ends. It must not answer from memory any more.
    Stop,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// From now on nothing is answered from memory. Comes before anything else.
    DropLeases,
    /// Answers may be given from memory until these points of the boot clock, by lease term.
    Lease(TermTable<u64>),
    /// Every node is known to have applied the log up to here.
    Stable(u64),
    /// The store's wall clock said `wall_ms` at some moment since `sent_at_ns` on the own boot clock.
    WallClock {
        /// When the question left.
        sent_at_ns: u64,
        /// What the store's clock said, in Unix milliseconds.
        wall_ms: i64,
    },
    /// Begin an operation. Its end comes back as an input.
    Begin(Operation),
}

/// Something that takes a round trip or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Register a new incarnation. Ends with [`Input::Registered`].
    Register {
        /// What is in memory already.
        applied: u64,
        /// The generation for which it has re-asserted what it knew; `None` if it knows of nothing.
        reasserted: Option<u64>,
    },
    /// Read the whole state into memory, in place of what is there. Ends with [`Input::Loaded`].
    Load,
    /// Poll. Ends with [`Input::Polled`].
    Poll {
        /// Who asks.
        incarnation: Incarnation,
        /// What is in memory.
        applied: u64,
        /// A place in the chain that was seen.
        anchor: Option<Anchor>,
    },
    /// Fetch the changes after this and apply them in order. Ends with [`Input::Fetched`].
    Fetch {
        /// What is in memory.
        after: u64,
    },
    /// Acknowledge. Ends with [`Input::Acknowledged`].
    Acknowledge {
        /// Who.
        incarnation: Incarnation,
        /// What is in memory.
        applied: u64,
    },
    /// The server continues another history: begin a generation for it. Ends with [`Input::GenerationBegun`].
    BeginGeneration {
        /// The generation before.
        generation: u64,
        /// The history that is continued now.
        epoch: Epoch,
    },
    /// Bring into effect again what was revoked in memory, and what this process itself committed even if it was not
    /// applied yet, and note that for the generation. Ends with [`Input::Reasserted`].
    Reassert {
        /// Who.
        incarnation: Incarnation,
        /// The generation.
        generation: u64,
    },
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Nothing is in memory.
    Empty,
    /// The state is in memory and follows the log.
    Following,
    /// The log does not reach back to the state in memory.
    Behind,
    /// The history changed under the state in memory.
    Astray,
    /// The node ends.
    Stopped,
}

/// A poll whose answer was received, but shows more than was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Vouched {
    sent_at_ns: u64,
    head: u64,
}

/// The state machine. See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Follower {
    timing: Timing,
    phase: Phase,
    incarnation: Option<Incarnation>,
    applied: u64,
    acknowledged: u64,
    /// When what was applied since is to be acknowledged; 0 for at once.
    acknowledge_from_ns: u64,
    announced: u64,
    anchor: Option<Anchor>,
    epoch: Option<Epoch>,
    generation: u64,
    /// Since when a generation is known that is not settled.
    unsettled_since_ns: Option<u64>,
    /// The operation, and when it was begun.
    in_flight: Option<(Operation, u64)>,
    /// What comes before anything else.
    next: Option<Operation>,
    vouched: Option<Vouched>,
    /// What was announced when the fetch was begun that is in flight.
    fetching_to: u64,
    next_poll_ns: u64,
    not_before_ns: u64,
    failures: u32,
}

impl Follower {
    /// A node that has nothing in memory and is not registered.
    pub const fn new(timing: Timing) -> Self {
        Self {
            timing,
            phase: Phase::Empty,
            incarnation: None,
            applied: 0,
            acknowledged: 0,
            acknowledge_from_ns: 0,
            announced: 0,
            anchor: None,
            epoch: None,
            generation: 0,
            unsettled_since_ns: None,
            in_flight: None,
            next: None,
            vouched: None,
            fetching_to: 0,
            next_poll_ns: 0,
            not_before_ns: 0,
            failures: 0,
        }
    }

    /// The registered run, if it is registered.
    pub const fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// The last sequence number that is in memory.
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// The generation that the node follows; 0 before the first poll.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the state is in memory and follows the log.
    pub fn is_following(&self) -> bool {
        self.phase == Phase::Following
    }

    /// The point of the boot clock at which a [`Input::Tick`] is due if nothing else happens before; `None` while an
    /// operation is in flight, or for ever.
    pub fn next_tick_ns(&self) -> Option<u64> {
        if self.in_flight.is_some() || self.phase == Phase::Stopped {
            return None;
        }
        let is_waiting_to_retry = self.next_operation(self.not_before_ns).is_some();
        if is_waiting_to_retry {
            return Some(self.not_before_ns);
        }
        let owes = self.phase == Phase::Following && self.applied > self.acknowledged;
        let owed_ns = if owes { self.acknowledge_from_ns } else { u64::MAX };
        Some(self.next_poll_ns.min(owed_ns).max(self.not_before_ns))
    }

    /// Takes what happened, at `now_ns` on the own boot clock, and says what to do, in this order.
    ///
    /// An [`Operation`] that comes out must not have sent anything before `now_ns` was read.
    pub fn step(&mut self, now_ns: u64, input: &Input) -> Vec<Output> {
        let mut out = Vec::new();
        if self.phase == Phase::Stopped {
            return out;
        }
        match *input {
            Input::Tick => {}
            Input::Announced { sequence } => self.announced = self.announced.max(sequence),
            Input::Advanced { applied } => {
                if self.applied <= self.acknowledged && self.timing.acknowledge_own_after_ns > 0 {
                    self.acknowledge_from_ns = now_ns + self.timing.acknowledge_own_after_ns;
                }
                self.advance(applied, &mut out);
            }
            Input::Told { applied } => {
                // Somebody waits for that.
                self.acknowledge_from_ns = 0;
                self.advance(applied, &mut out);
            }
            Input::Stop => {
                self.phase = Phase::Stopped;
                out.push(Output::DropLeases);
                return out;
            }
            Input::Failed => self.fail(now_ns),
            Input::Registered(incarnation) => self.registered(now_ns, incarnation),
            Input::Loaded { sequence } => self.loaded(now_ns, sequence),
            Input::Polled(reply) => self.polled(now_ns, &reply, &mut out),
            Input::Fetched { applied } => self.fetched(now_ns, applied, &mut out),
            Input::Gap => self.gap(now_ns, &mut out),
            Input::Acknowledged { applied } => {
                if self.ends(|operation| matches!(operation, Operation::Acknowledge { .. })).is_some() {
                    self.acknowledged = self.acknowledged.max(applied);
                    self.acknowledge_from_ns = 0;
                }
            }
            Input::GenerationBegun => {
                if self.ends(|operation| matches!(operation, Operation::BeginGeneration { .. })).is_some() {
                    self.next_poll_ns = now_ns;
                }
            }
            Input::Reasserted { generation } => self.reasserted(now_ns, generation),
        }
        self.begin_next(now_ns, &mut out);
        out
    }

    /// Ends the operation in flight if it is the one that is meant, and says when it was begun. An answer to anything
    /// else comes too late, and means nothing.
    fn ends(&mut self, is_meant: impl Fn(&Operation) -> bool) -> Option<(Operation, u64)> {
        let ended = self.in_flight.take_if(|(operation, _)| is_meant(operation))?;
        self.failures = 0;
        Some(ended)
    }

    fn fail(&mut self, now_ns: u64) {
        self.in_flight = None;
        let pause = self.timing.retry_after_ns << self.failures.min(16);
        self.not_before_ns = now_ns + pause.min(self.timing.poll_every_ns);
        self.failures = self.failures.saturating_add(1);
    }

    fn registered(&mut self, now_ns: u64, run: Incarnation) {
        let Some((Operation::Register { applied, .. }, _)) =
            self.ends(|operation| matches!(operation, Operation::Register { .. }))
        else {
            return;
        };
        self.incarnation = Some(run);
        // What was applied meanwhile is not in the row.
        self.acknowledged = applied;
        self.next_poll_ns = now_ns;
    }

    fn loaded(&mut self, now_ns: u64, sequence: u64) {
        if self.ends(|operation| *operation == Operation::Load).is_none() {
            return;
        }
        self.phase = Phase::Following;
        self.applied = sequence;
        // What was acknowledged in another history counts for nothing.
        self.acknowledged = 0;
        self.announced = 0;
        self.vouched = None;
        self.next_poll_ns = now_ns;
    }

    fn fetched(&mut self, now_ns: u64, applied: u64, out: &mut Vec<Output>) {
        let Some((Operation::Fetch { after }, _)) =
            self.ends(|operation| matches!(operation, Operation::Fetch { .. }))
        else {
            return;
        };
        if applied <= after {
            // Nothing was there, so what was announced before is not to be had, whatever announced it.
            if self.announced <= self.fetching_to {
                self.announced = self.applied;
            }
            // A poll showed what the log does not hold: only another poll can tell what became of it.
            if self.vouched.take().is_some() {
                self.next_poll_ns = now_ns + self.timing.retry_after_ns;
            }
        }
        // Somebody waits for that.
        self.acknowledge_from_ns = 0;
        self.advance(applied, out);
    }

    fn gap(&mut self, now_ns: u64, out: &mut Vec<Output>) {
        if self.ends(|operation| matches!(operation, Operation::Fetch { .. })).is_none() {
            return;
        }
        // Not loaded anew at once: if the history changed, what is in memory has to be re-asserted first.
        self.phase = Phase::Behind;
        self.vouched = None;
        self.next_poll_ns = now_ns;
        out.push(Output::DropLeases);
    }

    /// Changes up to `applied` are in memory.
    fn advance(&mut self, applied: u64, out: &mut Vec<Output>) {
        if self.phase != Phase::Following {
            return;
        }
        self.applied = self.applied.max(applied);
        if let Some(vouched) = self.vouched.take_if(|vouched| vouched.head <= self.applied) {
            self.publish(vouched.sent_at_ns, out);
        }
    }

    /// Everything that the poll showed is applied: only now may its lease be used.
    fn publish(&self, sent_at_ns: u64, out: &mut Vec<Output>) {
        let end = |term_ns: u64| if term_ns == 0 { 0 } else { sent_at_ns + term_ns };
        out.push(Output::Lease(self.timing.terms_ns.map(end)));
    }

    fn polled(&mut self, now_ns: u64, reply: &PollReply, out: &mut Vec<Output>) {
        let Some((Operation::Poll { applied, .. }, sent_at_ns)) =
            self.ends(|operation| matches!(operation, Operation::Poll { .. }))
        else {
            return;
        };
        self.next_poll_ns = sent_at_ns + self.timing.poll_every_ns;
        if reply.is_standby {
            // Its answers may be old. The primary is somewhere else, or will be.
            self.next_poll_ns = now_ns + self.timing.retry_after_ns;
            return;
        }
        if matches!(self.phase, Phase::Following | Phase::Behind) && self.is_astray(reply, applied) {
            self.phase = Phase::Astray;
            self.vouched = None;
            out.push(Output::DropLeases);
        }
        if !reply.is_alive {
            // Fenced, or its row is lost: the others go by the assumption that it holds no lease.
            self.vouched = None;
            self.incarnation = None;
            out.push(Output::DropLeases);
            return;
        }
        self.acknowledged = self.acknowledged.max(applied);
        out.push(Output::WallClock { sent_at_ns, wall_ms: reply.wall_ms });
        if let Some(operation) = self.next_of_generation(reply) {
            self.next = Some(operation);
            return;
        }
        self.epoch = Some(reply.epoch);
        self.generation = reply.generation;
        self.anchor = Some(reply.anchor);
        if self.phase == Phase::Behind {
            self.phase = Phase::Empty;
            return;
        }
        self.follow(now_ns, sent_at_ns, reply, out);
    }

    /// Uses the answer of a poll that belongs to the history that is followed.
    fn follow(&mut self, now_ns: u64, sent_at_ns: u64, reply: &PollReply, out: &mut Vec<Output>) {
        self.announced = self.announced.max(reply.head);
        if reply.challenge > reply.head {
            // Somebody took this node for silent after the snapshot of this answer was made.
            self.next_poll_ns = now_ns;
            return;
        }
        if !self.is_settled(now_ns, reply) {
            self.next_poll_ns = now_ns + self.timing.retry_after_ns;
            return;
        }
        out.push(Output::Stable(reply.stable));
        if reply.head <= self.applied {
            self.vouched = None;
            self.publish(sent_at_ns, out);
        } else if self.vouched.is_none() {
            // One that is not caught up with yet stays: else a node that is slower than the log would never reach any.
            self.vouched = Some(Vouched { sent_at_ns, head: reply.head });
        }
    }

    /// Whether the state in memory belongs to another history than the server's, or may: a row from before the current
    /// generation says that the history changed after the node registered, so perhaps after it loaded.
    fn is_astray(&self, reply: &PollReply, applied_when_sent: u64) -> bool {
        self.epoch.is_some_and(|epoch| epoch != reply.epoch)
            || (self.generation != 0 && self.generation != reply.generation)
            || (reply.is_alive && reply.reasserted < reply.generation)
            || !reply.is_anchored
            || reply.head < applied_when_sent
    }

    /// What has to be done before anything in this generation is believed.
    fn next_of_generation(&self, reply: &PollReply) -> Option<Operation> {
        let incarnation = self.incarnation?;
        let is_begun = reply.generation_epoch == reply.epoch
            && (self.phase != Phase::Astray || reply.generation > self.generation);
        if !is_begun {
            return Some(Operation::BeginGeneration { generation: reply.generation, epoch: reply.epoch });
        }
        let must_reassert = self.phase == Phase::Astray || reply.reasserted < reply.generation;
        must_reassert.then_some(Operation::Reassert { incarnation, generation: reply.generation })
    }

    /// Whether every node that knew of the history before has re-asserted what it knew, or had its time.
    fn is_settled(&mut self, now_ns: u64, reply: &PollReply) -> bool {
        if reply.is_generation_settled {
            self.unsettled_since_ns = None;
            return true;
        }
        let since_ns = *self.unsettled_since_ns.get_or_insert(now_ns);
        now_ns >= since_ns + self.timing.settle_ns
    }

    fn reasserted(&mut self, now_ns: u64, generation: u64) {
        if self.ends(|operation| matches!(operation, Operation::Reassert { .. })).is_none() {
            return;
        }
        if self.phase == Phase::Astray {
            // What is in memory belongs to a history that is over.
            self.phase = Phase::Empty;
            self.applied = 0;
            self.epoch = None;
            self.anchor = None;
            self.generation = generation;
            self.unsettled_since_ns = None;
        }
        self.next_poll_ns = now_ns;
    }

    fn begin_next(&mut self, now_ns: u64, out: &mut Vec<Output>) {
        if self.in_flight.is_some() || now_ns < self.not_before_ns {
            return;
        }
        if let Some(operation) = self.next_operation(now_ns) {
            self.next = None;
            self.fetching_to = self.announced;
            self.in_flight = Some((operation, now_ns));
            out.push(Output::Begin(operation));
        }
    }

    fn next_operation(&self, now_ns: u64) -> Option<Operation> {
        let Some(incarnation) = self.incarnation else {
            let reasserted = match self.phase {
                Phase::Empty if self.generation == 0 => None,
                _ => Some(self.generation),
            };
            // What is in memory from another history is not applied in this one.
            let applied = if self.phase == Phase::Following { self.applied } else { 0 };
            return Some(Operation::Register { applied, reasserted });
        };
        if self.next.is_some() {
            return self.next;
        }
        if self.phase == Phase::Empty {
            return Some(Operation::Load);
        }
        let poll = Operation::Poll { incarnation, applied: self.applied, anchor: self.anchor };
        let is_poll_due = now_ns >= self.next_poll_ns;
        if matches!(self.phase, Phase::Behind | Phase::Astray) {
            return is_poll_due.then_some(poll);
        }
        // A poll before its turn would only move the goal of one that is not caught up with.
        if is_poll_due && self.vouched.is_none() {
            return Some(poll);
        }
        if self.applied > self.acknowledged && now_ns >= self.acknowledge_from_ns {
            return Some(Operation::Acknowledge { incarnation, applied: self.applied });
        }
        (self.announced > self.applied).then_some(Operation::Fetch { after: self.applied })
    }
}

mod checking;
#[cfg(test)]
mod tests;
