//! When a change holds on every node.
//!
//! A process has one barrier for all changes that its callers wait for. It looks at the registry while something waits,
//! and now and then otherwise, so that it knows which nodes have been silent for how long.

use std::collections::BTreeMap;

use keywright_domain::{
    control::{Incarnation, NodeRow, history_began},
    lease::LeaseTerm,
};

use crate::Timing;

/// Names a change that a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The commit of a change was acknowledged, just now or before. Never earlier: the wait counts from this input.
    Committed {
        /// Whom to tell.
        ticket: Ticket,
        /// The change.
        sequence: u64,
        /// The longest term of the leases that may still vouch for the state before it.
        term: LeaseTerm,
    },
    /// What this process knows is about to be re-asserted: whatever was waited for until now is part of it. Comes before
    /// that is gathered, with each [`crate::follower::Operation::Reassert`].
    Reasserting,
    /// The history changed, and what this process knew has been re-asserted: what was waited for when that began holds in
    /// the new history since now, at a sequence number of its own. Follows [`crate::follower::Input::Reasserted`].
    HistoryChanged {
        /// Where the numbers of the new history begin: all of the one before are below.
        began: u64,
        /// The head of the log after the re-assertion.
        sequence: u64,
    },
    /// Nobody waits for this any more.
    Abandoned(Ticket),
    /// The registry as a question that was sent at `asked_at_ns` found it.
    Looked {
        /// When the question left.
        asked_at_ns: u64,
        /// All rows.
        rows: Vec<NodeRow>,
        /// The own run, if it is registered, and what it has applied in memory.
        own: Option<(Incarnation, u64)>,
    },
    /// The registry could not be read.
    LookFailed,
    /// A challenge was answered.
    Challenged {
        /// The node.
        node: Incarnation,
        /// Where.
        sequence: u64,
        /// Whether the node had made no further poll.
        is_silent: bool,
    },
    /// A node was fenced, or had polled again.
    Fenced {
        /// The node.
        node: Incarnation,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Read the registry. Ends with [`Input::Looked`] or [`Input::LookFailed`].
    Look,
    /// Challenge a silent node. Ends with [`Input::Challenged`]; if that fails, with nothing, and it comes again.
    Challenge {
        /// The node.
        node: Incarnation,
        /// How many polls it had made.
        renewals: u64,
        /// Where.
        sequence: u64,
    },
    /// Fence a node that has no lease left. Ends with [`Input::Fenced`]; if that fails, with nothing, and it comes again.
    Fence {
        /// The node.
        node: Incarnation,
        /// How many polls it had made.
        renewals: u64,
    },
    /// The change holds on every node.
    Done {
        /// Whose.
        ticket: Ticket,
        /// How.
        receipt: Receipt,
    },
    /// The change was committed in a history that is over, and that became known too late for it to be re-asserted: nobody
    /// can tell whether it is in this history. It is not waited for; whoever wants it to hold asks for it anew.
    Overtaken(Ticket),
    /// Every node that is not fenced has applied the log up to here.
    Settled(u64),
}

/// How a change came to hold everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    /// Nodes that have applied it.
    pub nodes: u32,
    /// Nodes that were not heard of, and whose leases have run out.
    pub silent: u32,
}

/// A node that a change waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitingOn {
    /// The name.
    pub name: String,
    /// After this many nanoseconds its lease has run out at the latest.
    pub lease_left_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Waiter {
    sequence: u64,
    term: LeaseTerm,
    committed_ns: u64,
    /// A look is under way that was begun before the commit was known. Clocks are read in steps, so the time of its
    /// question does not tell.
    is_look_early: bool,
    /// A re-assertion is under way that was begun before the commit was known.
    is_late: bool,
    /// It was looked for before, in vain.
    was_looked_for: bool,
}

/// What is known of another node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    name: String,
    renewals: u64,
    applied: u64,
    /// When this number of renewals was first seen: the polls before were sent before that.
    silent_since_ns: u64,
    /// The highest sequence number at which it was found to be silent.
    challenged: u64,
    /// A challenge at this sequence number is under way, since when.
    challenging: Option<(u64, u64)>,
    /// Since when it is being fenced.
    fencing_since_ns: Option<u64>,
}

impl Seen {
    /// Whether no lease of `term` is left that does not reflect `sequence`.
    fn is_out(&self, sequence: u64, term: LeaseTerm, now_ns: u64, timing: &Timing) -> bool {
        self.challenged >= sequence && self.has_been_silent(term, now_ns, timing)
    }

    const fn has_been_silent(&self, term: LeaseTerm, now_ns: u64, timing: &Timing) -> bool {
        // A node that has never polled, such as one that is loading, has no lease: the challenge tells that none of its
        // polls was committed before, and binds the first one.
        self.renewals == 0 || now_ns >= self.silent_since_ns + timing.wait_ns(term)
    }
}

/// The state machine. See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Barrier {
    timing: Timing,
    waiting: BTreeMap<Ticket, Waiter>,
    nodes: BTreeMap<Incarnation, Seen>,
    is_looking: bool,
    next_look_ns: u64,
    pause_ns: u64,
    /// From a commit to the first look for it: about how long the others take to acknowledge one, learned from those before.
    first_pause_ns: u64,
    settled: u64,
    /// Where the numbers of the present history begin, if this process was there when the one before ended.
    history_began: u64,
    /// Where the numbers of the newest history begin that any node has acknowledged something of.
    history_shown: u64,
    /// Whether what this process knows is being re-asserted.
    is_reasserting: bool,
}

impl Barrier {
    /// A barrier that knows of no node.
    pub const fn new(timing: Timing) -> Self {
        Self {
            timing,
            waiting: BTreeMap::new(),
            nodes: BTreeMap::new(),
            is_looking: false,
            next_look_ns: 0,
            pause_ns: timing.look_every_ns,
            first_pause_ns: timing.look_every_ns,
            settled: 0,
            history_began: 0,
            history_shown: 0,
            is_reasserting: false,
        }
    }

    /// The point of the boot clock at which a [`Input::Tick`] is due if nothing else happens before.
    pub fn next_tick_ns(&self) -> u64 {
        let look_ns = if self.is_looking { u64::MAX } else { self.next_look_ns };
        self.waiting.values().map(|waiter| self.ends_ns(waiter)).fold(look_ns, u64::min)
    }

    /// The nodes that `ticket` still waits for, as far as they are known.
    pub fn waiting_on(&self, ticket: Ticket, now_ns: u64) -> Vec<WaitingOn> {
        let Some(waiter) = self.waiting.get(&ticket) else { return Vec::new() };
        let wait_ns = self.timing.wait_ns(waiter.term);
        let open = self.nodes.values().filter(|seen| {
            seen.applied < waiter.sequence && !seen.is_out(waiter.sequence, waiter.term, now_ns, &self.timing)
        });
        open.map(|seen| WaitingOn {
            name: seen.name.clone(),
            lease_left_ns: (waiter.committed_ns + wait_ns).saturating_sub(now_ns),
        })
        .collect()
    }

    /// Takes what happened, at `now_ns` on the own boot clock, and says what to do.
    ///
    /// A [`Output::Look`] that comes out must not have sent anything before `now_ns` was read, and reports that moment.
    pub fn step(&mut self, now_ns: u64, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Tick => {}
            // All numbers of this history are higher, so every node has acknowledged more than that.
            Input::Committed { ticket, sequence, .. } if sequence < self.history_began => {
                out.push(Output::Overtaken(ticket));
            }
            Input::Committed { ticket, sequence, term } => {
                self.waiting.insert(
                    ticket,
                    Waiter {
                        sequence,
                        term,
                        committed_ns: now_ns,
                        is_look_early: self.is_looking,
                        is_late: self.is_reasserting,
                        was_looked_for: false,
                    },
                );
                self.pause_ns = self.timing.look_every_ns;
                // No other node can have acknowledged it yet.
                let is_early = self.nodes.len() > 1;
                let first_ns = if is_early { now_ns + self.first_pause_ns } else { now_ns };
                self.next_look_ns = self.next_look_ns.min(first_ns);
            }
            Input::Reasserting => {
                self.is_reasserting = true;
                self.waiting.values_mut().for_each(|waiter| waiter.is_late = false);
            }
            Input::HistoryChanged { began, sequence } => {
                self.history_changed(now_ns, began, sequence, &mut out);
            }
            Input::Abandoned(ticket) => drop(self.waiting.remove(&ticket)),
            Input::Looked { asked_at_ns, rows, own } => self.looked(now_ns, asked_at_ns, rows, own, &mut out),
            Input::LookFailed => {
                self.end_look();
                self.slow_down(now_ns);
            }
            Input::Challenged { node, sequence, is_silent } => {
                if let Some(seen) = self.nodes.get_mut(&node) {
                    seen.challenging = None;
                    if is_silent {
                        seen.challenged = seen.challenged.max(sequence);
                    }
                }
                self.next_look_ns = now_ns;
            }
            Input::Fenced { node } => {
                if let Some(seen) = self.nodes.get_mut(&node) {
                    seen.fencing_since_ns = None;
                }
            }
        }
        self.end_by_time(now_ns, &mut out);
        if !self.is_looking && now_ns >= self.next_look_ns {
            self.is_looking = true;
            out.push(Output::Look);
        }
        out
    }

    fn history_changed(&mut self, now_ns: u64, began: u64, sequence: u64, out: &mut Vec<Output>) {
        self.is_reasserting = false;
        self.history_began = self.history_began.max(began);
        self.waiting.retain(|ticket, waiter| {
            let is_overtaken = waiter.is_late && waiter.sequence < began;
            out.extend(is_overtaken.then_some(Output::Overtaken(*ticket)));
            !is_overtaken
        });
        for waiter in self.waiting.values_mut() {
            waiter.sequence = waiter.sequence.max(sequence);
            waiter.committed_ns = now_ns;
            waiter.is_look_early = self.is_looking;
            waiter.is_late = false;
        }
    }

    /// Whether the history is known to have changed since it was committed, but not yet that it holds in the new one: it is
    /// being re-asserted, if it was known in time; or some node has acknowledged changes of a history that this process has
    /// not heard of otherwise. That node's number is higher than this one's, but it may never have heard of the change.
    const fn is_in_doubt(&self, waiter: &Waiter) -> bool {
        self.is_reasserting || history_began(waiter.sequence) < self.history_shown
    }

    /// When it is waited for no more. What is in doubt is to be re-asserted first, and waited for again then.
    const fn ends_ns(&self, waiter: &Waiter) -> u64 {
        let wait_ns = if self.is_in_doubt(waiter) {
            self.timing.longest_wait_ns()
        } else {
            self.timing.wait_ns(waiter.term)
        };
        waiter.committed_ns + wait_ns
    }

    /// Whoever has waited long enough needs to know nothing about nodes.
    fn end_by_time(&mut self, now_ns: u64, out: &mut Vec<Output>) {
        let is_over = |waiter: &Waiter| now_ns >= self.ends_ns(waiter);
        let over: Vec<_> =
            self.waiting.iter().filter(|(_, waiter)| is_over(waiter)).map(|(ticket, _)| *ticket).collect();
        for ticket in over {
            let Some(waiter) = self.waiting.remove(&ticket) else { continue };
            if self.is_in_doubt(&waiter) {
                out.push(Output::Overtaken(ticket));
                continue;
            }
            let behind = self.nodes.values().filter(|seen| seen.applied < waiter.sequence).count();
            let applied = self.nodes.len() - behind;
            out.push(Output::Done { ticket, receipt: receipt(applied, behind) });
        }
    }

    fn looked(
        &mut self,
        now_ns: u64,
        asked_at_ns: u64,
        rows: Vec<NodeRow>,
        own: Option<(Incarnation, u64)>,
        out: &mut Vec<Output>,
    ) {
        self.remember(now_ns, rows, own);
        self.fence_the_dead(now_ns, out);
        self.challenge_the_silent(now_ns, out);
        let mut settled = self.settled;
        let done: Vec<_> = self
            .waiting
            .iter()
            // The registry must have been read after the commit: else a node that had a lease might not be in it yet.
            .filter(|(_, waiter)| asked_at_ns >= waiter.committed_ns && !waiter.is_look_early)
            .filter(|(_, waiter)| !self.is_in_doubt(waiter))
            .filter_map(|(ticket, waiter)| Some((*ticket, waiter.sequence, self.receipt(now_ns, waiter)?)))
            .collect();
        if let [(ticket, ..)] = *done
            && self.waiting.len() == 1
        {
            self.learn(now_ns, self.waiting[&ticket]);
        }
        for waiter in self.waiting.values_mut() {
            waiter.was_looked_for |= !waiter.is_look_early;
        }
        for (ticket, sequence, receipt) in done {
            self.waiting.remove(&ticket);
            // A node that is out for this term may hold a longer lease for other workspaces.
            if receipt.silent == 0 {
                settled = settled.max(sequence);
            }
            out.push(Output::Done { ticket, receipt });
        }
        if settled > self.settled {
            self.settled = settled;
            out.push(Output::Settled(settled));
        }
        // Last: what is done need not be looked for any more.
        self.end_look();
        self.slow_down(now_ns);
    }

    /// Learns from a change that holds everywhere, and was waited for alone, when to look for the next one: a look that is too early is made again, and
    /// keeps those from the processor who shall acknowledge. So most, but not all, find what they look for.
    fn learn(&mut self, now_ns: u64, waiter: Waiter) {
        let Timing { look_every_ns, look_every_max_ns, first_look_max_ns, .. } = self.timing;
        if !waiter.was_looked_for {
            self.first_pause_ns = (self.first_pause_ns * 15 / 16).max(look_every_ns / 2);
        } else if now_ns <= waiter.committed_ns + look_every_max_ns {
            // Whoever took longer was away, which tells nothing of the next time.
            self.first_pause_ns = (self.first_pause_ns * 5 / 4).min(first_look_max_ns);
        }
    }

    /// The receipt of a change that holds on all nodes that are known.
    fn receipt(&self, now_ns: u64, waiter: &Waiter) -> Option<Receipt> {
        let (mut applied, mut silent) = (0, 0);
        for seen in self.nodes.values() {
            if seen.applied >= waiter.sequence {
                applied += 1;
            } else if seen.is_out(waiter.sequence, waiter.term, now_ns, &self.timing) {
                silent += 1;
            } else {
                return None;
            }
        }
        Some(receipt(applied, silent))
    }

    fn remember(&mut self, now_ns: u64, rows: Vec<NodeRow>, own: Option<(Incarnation, u64)>) {
        let mut before = std::mem::take(&mut self.nodes);
        for row in rows.into_iter().filter(|row| !row.is_fenced) {
            // What this process has in memory it knows better than the registry.
            let own_applied =
                own.filter(|(run, _)| *run == row.incarnation).map_or(0, |(_, applied)| applied);
            let mut seen = before.remove(&row.incarnation).unwrap_or(Seen {
                name: row.name,
                renewals: row.renewals,
                applied: 0,
                silent_since_ns: now_ns,
                challenged: 0,
                challenging: None,
                fencing_since_ns: None,
            });
            seen.applied = row.applied.max(own_applied);
            self.history_shown = self.history_shown.max(history_began(row.applied));
            if seen.renewals != row.renewals {
                seen.renewals = row.renewals;
                seen.silent_since_ns = now_ns;
                // A challenge binds the polls that come after it as well, so it stays.
            }
            self.nodes.insert(row.incarnation, seen);
        }
    }

    fn fence_the_dead(&mut self, now_ns: u64, out: &mut Vec<Output>) {
        for (node, seen) in &mut self.nodes {
            let is_dead = now_ns >= seen.silent_since_ns + self.timing.longest_wait_ns();
            let is_under_way =
                seen.fencing_since_ns.is_some_and(|since_ns| now_ns < since_ns + self.timing.poll_every_ns);
            if is_dead && !is_under_way {
                seen.fencing_since_ns = Some(now_ns);
                out.push(Output::Fence { node: *node, renewals: seen.renewals });
            }
        }
    }

    /// A node that has been silent for longer than its lease costs no further wait, but it may be about to speak.
    fn challenge_the_silent(&mut self, now_ns: u64, out: &mut Vec<Output>) {
        let timing = self.timing;
        for (node, seen) in &mut self.nodes {
            let open = self.waiting.values().filter(|waiter| {
                let is_behind = seen.applied < waiter.sequence && seen.challenged < waiter.sequence;
                is_behind && seen.has_been_silent(waiter.term, now_ns, &timing)
            });
            // The highest binds for the lower ones as well.
            let Some(sequence) = open.map(|waiter| waiter.sequence).max() else { continue };
            let is_under_way = seen
                .challenging
                .is_some_and(|(at, since_ns)| at >= sequence && now_ns < since_ns + timing.poll_every_ns);
            if !is_under_way {
                seen.challenging = Some((sequence, now_ns));
                out.push(Output::Challenge { node: *node, renewals: seen.renewals, sequence });
            }
        }
    }

    fn end_look(&mut self) {
        self.is_looking = false;
        self.waiting.values_mut().for_each(|waiter| waiter.is_look_early = false);
    }

    fn slow_down(&mut self, now_ns: u64) {
        if self.waiting.is_empty() {
            self.next_look_ns = now_ns + self.timing.look_idle_every_ns;
            return;
        }
        self.next_look_ns = now_ns + self.pause_ns;
        self.pause_ns = (self.pause_ns * 3 / 2).min(self.timing.look_every_max_ns);
    }
}

fn receipt(applied: usize, silent: usize) -> Receipt {
    let count = |nodes| u32::try_from(nodes).unwrap_or(u32::MAX);
    Receipt { nodes: count(applied), silent: count(silent) }
}

mod checking;
#[cfg(test)]
mod tests;
