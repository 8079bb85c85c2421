//! What nodes ask the database, and what becomes of it on the way.

use keywright_cluster::follower::{Input, Operation};
use keywright_domain::control::Incarnation;

use super::{
    MS, SECOND, Simulation,
    events::{Event, Local, Pending},
};

pub(crate) enum Statement {
    Operation { operation: u64, begun: Operation },
    PollCommits(Pending),
    Look { look: u64, asked_at_ns: u64 },
    Challenge { target: Incarnation, renewals: u64, sequence: u64 },
    Fence { target: Incarnation, renewals: u64 },
    Settle { sequence: u64 },
    Revoke { key: u8 },
}

impl Simulation {
    /// Sends a statement; it may get lost.
    pub(crate) fn send(&mut self, node: usize, what: Statement) {
        let at = self.now + self.delay();
        if !self.is_reachable(node) || self.random.percent(1) {
            return;
        }
        let (life, server) = (self.processes[node].life, self.database.life);
        self.at(at, Event::Statement { node, life, server, what });
    }

    /// Sends an answer; it may get lost.
    fn reply(&mut self, node: usize, life: u64, what: Local) {
        let at = self.now + self.delay();
        if self.now < self.processes[node].cut_until || self.random.percent(1) {
            return;
        }
        self.at(at, Event::Local { node, life, what });
    }

    #[expect(clippy::needless_pass_by_value, reason = "a statement arrives once")]
    pub(crate) fn statement(&mut self, node: usize, life: u64, server: u64, what: Statement) {
        if !self.database.is_up || server != self.database.life {
            return;
        }
        match what {
            Statement::Operation { operation, begun } => self.operate(node, life, operation, begun),
            Statement::PollCommits(Pending { operation, run, applied, seen }) => {
                let reply = self.database.poll(run, applied, seen);
                self.last_polls.insert(run.0, self.now);
                self.reply(node, life, Local::Answered { operation, input: Input::Polled(reply) });
            }
            Statement::Look { look, asked_at_ns } => {
                let rows = self.database.rows.clone();
                self.reply(node, life, Local::Looked { look, asked_at_ns, rows });
            }
            Statement::Challenge { target, renewals, sequence } => {
                let is_silent = self.database.challenge(target, renewals, sequence);
                self.reply(node, life, Local::Challenged { target, sequence, is_silent });
            }
            Statement::Fence { target, renewals } => {
                self.database.fence(target, renewals);
                self.reply(node, life, Local::Fenced { target });
            }
            Statement::Settle { sequence } => self.database.stable = self.database.stable.max(sequence),
            Statement::Revoke { key } => {
                if let Some(committed) = self.database.revoke(key) {
                    self.reply(node, life, Local::Revoked { key, committed });
                    self.announce(committed.sequence, committed.is_new.then_some(key));
                }
            }
        }
    }

    fn announce(&mut self, sequence: u64, revoked: Option<u8>) {
        for node in 0..self.processes.len() {
            let life = self.processes[node].life;
            if self.random.percent(85) {
                let told = revoked.filter(|_| self.random.percent(80));
                self.reply(node, life, Local::Announced { sequence, told });
            }
        }
    }

    fn operate(&mut self, node: usize, life: u64, operation: u64, begun: Operation) {
        let answer = |input| Local::Answered { operation, input };
        let local = match begun {
            Operation::Register { applied, reasserted } => {
                self.runs += 1;
                let run = Incarnation(self.runs.to_be_bytes());
                self.database.register(format!("node-{node}"), run, applied, reasserted);
                answer(Input::Registered(run))
            }
            Operation::Load => {
                let (sequence, revoked) = (self.database.head, self.database.revoked());
                Local::Loaded { operation, sequence, revoked }
            }
            Operation::Poll { incarnation: run, applied, anchor } => {
                let seen = self.database.snapshot(anchor);
                // Somebody may hold its row.
                let wait = match self.random.below(200) {
                    0 => self.random.between(2 * SECOND, 8 * SECOND),
                    1..6 => self.random.between(20 * MS, 2 * SECOND),
                    _ => self.random.below(MS),
                };
                let server = self.database.life;
                let what = Statement::PollCommits(Pending { operation, run, applied, seen });
                return self.at(self.now + wait, Event::Statement { node, life, server, what });
            }
            Operation::Fetch { after } => match self.database.fetch(after) {
                Some(entries) => Local::Fetched { operation, entries },
                None => answer(Input::Gap),
            },
            Operation::Acknowledge { incarnation, applied } => {
                self.database.acknowledge(incarnation, applied);
                answer(Input::Acknowledged { applied })
            }
            Operation::BeginGeneration { generation, epoch } => {
                self.database.begin_generation(generation, epoch, self.design.numbers());
                answer(Input::GenerationBegun)
            }
            Operation::Reassert { incarnation, generation } => {
                let knows = self.processes[node].revoked | self.processes[node].journal;
                self.database.reassert(incarnation, knows, generation);
                answer(Input::Reasserted { generation })
            }
        };
        self.reply(node, life, local);
    }
}
