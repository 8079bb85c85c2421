//! What happens on the nodes and around them.

use keywright_cluster::{
    TermTable,
    barrier::{self, Ticket},
    follower::{self, Operation},
};
use keywright_domain::control::{Incarnation, NodeRow, history_began};

use super::{
    Design, KEYS, MS, SECOND, Simulation, TIMING,
    database::{Committed, Snapshot},
    judge::Answer,
    statements::Statement,
    term,
};

pub(crate) enum Event {
    /// Something on a node. Waits while the node is stopped, and dies with it.
    Local {
        node: usize,
        life: u64,
        what: Local,
    },
    /// A statement arrives at the database.
    Statement {
        node: usize,
        life: u64,
        server: u64,
        what: Statement,
    },
    /// A client wants a key revoked, for the first time or again.
    Revoke {
        key: u8,
    },
    /// Clients verify keys.
    Clients,
    Fault,
    Restart {
        node: usize,
    },
    DatabaseUp,
}

pub(crate) enum Local {
    Wake,
    Audit,
    Answered {
        operation: u64,
        input: follower::Input,
    },
    Loaded {
        operation: u64,
        sequence: u64,
        revoked: u64,
    },
    Fetched {
        operation: u64,
        entries: Vec<(u64, u8)>,
    },
    GiveUp {
        operation: u64,
    },
    Looked {
        look: u64,
        asked_at_ns: u64,
        rows: Vec<NodeRow>,
    },
    GiveUpLook {
        look: u64,
    },
    Challenged {
        target: Incarnation,
        sequence: u64,
        is_silent: bool,
    },
    Fenced {
        target: Incarnation,
    },
    Announced {
        sequence: u64,
        /// What the change is, if the announcement tells: this key is revoked.
        told: Option<u8>,
    },
    Revoked {
        key: u8,
        committed: Committed,
    },
    /// Negative control: is everybody there who polled lately?
    Industry {
        key: u8,
        sequence: u64,
    },
    VerifyBegin {
        key: u8,
    },
    VerifyRead {
        key: u8,
        started: u64,
        lease: TermTable<u64>,
    },
    VerifyEnd {
        key: u8,
        started: u64,
        end: u64,
        answer: Answer,
    },
}

/// How long a statement is waited for.
const PATIENCE: u64 = 3 * SECOND;

impl Simulation {
    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Local { node, life, what } => {
                let process = &self.processes[node];
                if !process.is_up || process.life != life {
                    return;
                }
                if self.now < process.paused_until {
                    let until = process.paused_until;
                    return self.at(until, Event::Local { node, life, what });
                }
                self.local(node, what);
            }
            Event::Statement { node, life, server, what } => self.statement(node, life, server, what),
            Event::Revoke { key } => self.revoke(key),
            Event::Clients => self.clients(),
            Event::Fault => self.fault(),
            Event::Restart { node } => {
                self.processes[node].restart();
                self.local_at(self.now, node, Local::Wake);
                self.local_at(self.now, node, Local::Audit);
            }
            Event::DatabaseUp => self.database.is_up = true,
        }
    }

    pub(crate) fn local_at(&mut self, at: u64, node: usize, what: Local) {
        let life = self.processes[node].life;
        self.at(at, Event::Local { node, life, what });
    }

    fn boot(&self, node: usize) -> u64 {
        self.processes[node].clock.at(self.now)
    }

    fn local(&mut self, node: usize, what: Local) {
        let boot = self.boot(node);
        match what {
            Local::Wake => {
                let process = &mut self.processes[node];
                process.next_wake = u64::MAX;
                if process.follower.next_tick_ns().is_some_and(|at| at <= boot) {
                    return self.follow(node, &follower::Input::Tick);
                }
                self.schedule_wake(node);
            }
            Local::Audit => {
                self.processes[node].next_look = u64::MAX;
                self.audit(node, barrier::Input::Tick);
            }
            Local::Answered { operation, input } => self.answered(node, operation, &input),
            Local::Loaded { operation, sequence, revoked } => {
                let process = &mut self.processes[node];
                if process.operation == operation {
                    (process.applied, process.revoked) = (sequence, revoked);
                    for key in (0..KEYS).filter(|key| revoked >> key & 1 == 1) {
                        process.received.entry(key).or_insert((boot, sequence));
                    }
                    self.follow(node, &follower::Input::Loaded { sequence });
                }
            }
            Local::Fetched { operation, entries } => {
                let process = &mut self.processes[node];
                if process.operation == operation {
                    for entry in entries {
                        process.take_in(entry, boot);
                    }
                    let input = follower::Input::Fetched { applied: process.applied };
                    let at = self.now + self.random.below(MS);
                    self.local_at(at, node, Local::Answered { operation, input });
                }
            }
            Local::GiveUp { operation } => self.answered(node, operation, &follower::Input::Failed),
            Local::Announced { sequence, told } => self.announced(node, sequence, told),
            Local::Looked { look, asked_at_ns, rows } if self.processes[node].look == look => {
                let process = &mut self.processes[node];
                process.look += 1;
                let own = process.follower.incarnation().map(|run| (run, process.applied));
                self.audit(node, barrier::Input::Looked { asked_at_ns, rows, own });
            }
            Local::GiveUpLook { look } if self.processes[node].look == look => {
                self.processes[node].look += 1;
                self.audit(node, barrier::Input::LookFailed);
            }
            Local::Looked { .. } | Local::GiveUpLook { .. } => {}
            Local::Challenged { target, sequence, is_silent } => {
                self.audit(node, barrier::Input::Challenged { node: target, sequence, is_silent });
            }
            Local::Fenced { target } => self.audit(node, barrier::Input::Fenced { node: target }),
            Local::Revoked { key, committed } => self.revoked(node, key, committed),
            Local::Industry { key, sequence } => self.industry(node, key, sequence),
            Local::VerifyBegin { .. } | Local::VerifyRead { .. } | Local::VerifyEnd { .. } => {
                self.verify(node, boot, &what);
            }
        }
    }

    fn answered(&mut self, node: usize, operation: u64, input: &follower::Input) {
        if self.processes[node].operation == operation {
            self.processes[node].operation += 1;
            self.follow(node, input);
            if matches!(input, follower::Input::Reasserted { .. }) {
                let sequence = self.database.head;
                let began = history_began(sequence);
                self.audit(node, barrier::Input::HistoryChanged { began, sequence });
            }
        }
    }

    /// What follows on what is applied is applied at once.
    fn announced(&mut self, node: usize, sequence: u64, told: Option<u8>) {
        let boot = self.boot(node);
        let process = &mut self.processes[node];
        match told.filter(|_| process.follower.is_following() && sequence == process.applied + 1) {
            Some(key) => {
                process.take_in((sequence, key), boot);
                self.follow(node, &follower::Input::Told { applied: sequence });
            }
            None => self.follow(node, &follower::Input::Announced { sequence }),
        }
    }

    fn follow(&mut self, node: usize, input: &follower::Input) {
        let boot = self.boot(node);
        for output in self.processes[node].follower.step(boot, input) {
            let process = &mut self.processes[node];
            match output {
                follower::Output::DropLeases => process.lease = [0; 4],
                follower::Output::Lease(ends) => process.lease = ends,
                follower::Output::Stable(sequence) => process.stable = process.stable.max(sequence),
                follower::Output::WallClock { .. } => {}
                follower::Output::Begin(operation) => {
                    if matches!(operation, Operation::Reassert { .. }) {
                        self.audit(node, barrier::Input::Reasserting);
                    }
                    self.begin(node, operation);
                }
            }
        }
        self.schedule_wake(node);
    }

    fn begin(&mut self, node: usize, begun: Operation) {
        self.processes[node].operation += 1;
        let operation = self.processes[node].operation;
        self.send(node, Statement::Operation { operation, begun });
        let at = self.now + PATIENCE;
        self.local_at(at, node, Local::GiveUp { operation });
    }

    fn schedule_wake(&mut self, node: usize) {
        let process = &mut self.processes[node];
        let Some(reading) = process.follower.next_tick_ns() else { return };
        let at = process.clock.when(reading).max(self.now);
        if at < process.next_wake {
            process.next_wake = at;
            self.local_at(at, node, Local::Wake);
        }
    }

    fn audit(&mut self, node: usize, input: barrier::Input) {
        let boot = self.boot(node);
        for output in self.processes[node].barrier.step(boot, input) {
            match output {
                barrier::Output::Look => {
                    let look = self.processes[node].look;
                    self.send(node, Statement::Look { look, asked_at_ns: boot });
                    let at = self.now + PATIENCE;
                    self.local_at(at, node, Local::GiveUpLook { look });
                }
                barrier::Output::Challenge { node: target, renewals, sequence } => {
                    self.send(node, Statement::Challenge { target, renewals, sequence });
                }
                barrier::Output::Fence { node: target, renewals } => {
                    self.send(node, Statement::Fence { target, renewals });
                }
                barrier::Output::Overtaken(ticket) => {
                    if let Some(key) = self.processes[node].waiting.remove(&ticket) {
                        // The client hears nothing, and asks anew.
                        self.at(self.now + SECOND, Event::Revoke { key });
                    }
                }
                barrier::Output::Settled(sequence) => self.send(node, Statement::Settle { sequence }),
                barrier::Output::Done { ticket, receipt } => {
                    if let Some(key) = self.processes[node].waiting.remove(&ticket) {
                        self.judge.returns(self.now, key, receipt.silent);
                    }
                }
            }
        }
        let process = &mut self.processes[node];
        let at = process.clock.when(process.barrier.next_tick_ns()).max(self.now);
        if at < process.next_look {
            process.next_look = at;
            self.local_at(at, node, Local::Audit);
        }
    }

    /// A client asks any node that is up.
    fn revoke(&mut self, key: u8) {
        let is_waiting = self
            .processes
            .iter()
            .any(|process| process.is_up && process.waiting.values().any(|waiting| *waiting == key));
        if self.judge.returned.contains_key(&key) || is_waiting {
            return;
        }
        let nodes = self.processes.len() as u64;
        let node = usize::try_from(self.random.below(nodes)).expect("a small number");
        self.at(self.now + 2 * SECOND, Event::Revoke { key });
        self.judge.revokes(self.now, key, node);
        if self.processes[node].is_up && self.now >= self.processes[node].paused_until {
            self.send(node, Statement::Revoke { key });
        }
    }

    fn revoked(&mut self, node: usize, key: u8, Committed { sequence, is_new }: Committed) {
        match self.design {
            Design::NotifyOnly => return self.judge.returns(self.now, key, 0),
            Design::NotifyAndAcks => return self.industry(node, key, sequence),
            _ => {}
        }
        let boot = self.boot(node);
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let process = &mut self.processes[node];
        process.waiting.insert(ticket, key);
        process.journal |= 1 << key;
        if is_new && process.follower.is_following() && sequence == process.applied + 1 {
            process.take_in((sequence, key), boot);
            self.follow(node, &follower::Input::Advanced { applied: sequence });
        }
        self.audit(node, barrier::Input::Committed { ticket, sequence, term: term(key) });
        if self.random.percent(5) {
            // The client will not wait, and asks again later.
            self.processes[node].waiting.remove(&ticket);
            self.audit(node, barrier::Input::Abandoned(ticket));
            self.at(self.now + 3 * SECOND, Event::Revoke { key });
        } else {
            // In case the node dies.
            self.at(self.now + 20 * SECOND, Event::Revoke { key });
        }
    }

    fn industry(&mut self, node: usize, key: u8, sequence: u64) {
        let now = self.now;
        let is_open = self.database.rows.iter().any(|row| {
            let polled = self.last_polls.get(&row.incarnation.0).copied().unwrap_or(0);
            row.applied < sequence && now < polled + 3 * SECOND
        });
        if is_open {
            self.local_at(now + 20 * MS, node, Local::Industry { key, sequence });
        } else {
            self.judge.returns(now, key, 0);
        }
    }

    fn clients(&mut self) {
        self.at(self.now + 25 * MS, Event::Clients);
        for node in 0..self.processes.len() {
            let key = u8::try_from(self.random.below(u64::from(KEYS))).expect("a small number");
            let at = self.now + self.random.below(25 * MS);
            self.local_at(at, node, Local::VerifyBegin { key });
        }
    }

    /// Lease, entry, and the clock once more, each some time after the other.
    fn verify(&mut self, node: usize, boot: u64, what: &Local) {
        let process = &self.processes[node];
        let slow = if self.random.percent(2) { 300 * MS } else { 50_000 };
        let next = self.now + self.random.below(slow);
        match *what {
            Local::VerifyBegin { key } => {
                let lease = if self.design.has_leases() { process.lease } else { [u64::MAX; 4] };
                self.local_at(next, node, Local::VerifyRead { key, started: self.now, lease });
            }
            Local::VerifyRead { key, started, lease } => {
                let end = lease[term(key) as usize];
                let answer = match process.received.get(&key).filter(|_| process.revoked >> key & 1 == 1) {
                    _ if boot >= end || process.applied == 0 && process.follower.incarnation().is_none() => {
                        Answer::Unavailable
                    }
                    None => Answer::Accepted,
                    Some((received, sequence)) => {
                        let is_over =
                            process.stable >= *sequence || boot >= received + TIMING.wait_ns(term(key));
                        if self.design == Design::Atomic && !is_over {
                            Answer::Revoking
                        } else {
                            Answer::Rejected
                        }
                    }
                };
                self.local_at(next, node, Local::VerifyEnd { key, started, end, answer });
            }
            Local::VerifyEnd { key, started, end, answer } => {
                let answer = if boot >= end { Answer::Unavailable } else { answer };
                self.judge.verified(started, self.now, node, key, answer);
            }
            _ => {}
        }
    }

    fn fault(&mut self) {
        let nodes = self.processes.len() as u64;
        let node = usize::try_from(self.random.below(nodes)).expect("a small number");
        // Where memory is all that is left of a revocation, nobody is fenced before it could speak.
        let is_lossy = self.design.is_lossy();
        let longest = if self.random.percent(30) && !is_lossy { 10 * SECOND } else { 3 * SECOND };
        let until = self.now + self.random.between(500 * MS, longest);
        // And one thing goes wrong at a time.
        let next =
            if is_lossy { until + 2 * SECOND } else { self.now + self.random.between(SECOND, 8 * SECOND) };
        self.at(next, Event::Fault);
        self.faults += 1;
        let kind = match self.random.below(5) {
            0 => {
                self.processes[node].paused_until = until;
                "stopped"
            }
            1 => {
                self.processes[node].cut_until = until;
                "cut off"
            }
            2 if !is_lossy => {
                self.processes[node].is_up = false;
                self.at(until, Event::Restart { node });
                "killed"
            }
            3 if is_lossy => {
                let lost = usize::try_from(self.random.below(3)).expect("a small number");
                self.database.promote(lost);
                "standby promoted"
            }
            _ => {
                self.database.crash();
                self.at(until, Event::DatabaseUp);
                "database killed"
            }
        };
        self.judge.faults(self.now, kind, node, until);
    }
}

/// A poll between its snapshot and its row.
pub(crate) struct Pending {
    pub(crate) operation: u64,
    pub(crate) run: Incarnation,
    pub(crate) applied: u64,
    pub(crate) seen: Snapshot,
}
