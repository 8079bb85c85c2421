//! Who waits for which change.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use keywright_api::cluster::{Progress, WaitingOn};
use keywright_cluster::{
    Barrier, Timing,
    barrier::{Receipt, Ticket},
};
use keywright_domain::lease::LeaseTerm;
use tokio::sync::oneshot;

/// Receipts that are kept for whoever asks again.
const DONE_MAX: usize = 10_000;

/// A change that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Asked {
    pub(super) sequence: u64,
    pub(super) term: LeaseTerm,
}

/// All waits of this process.
#[derive(Default)]
pub(super) struct Waits {
    by_change: HashMap<Asked, Wait>,
    by_ticket: BTreeMap<Ticket, Asked>,
    done: HashMap<Asked, Receipt>,
    done_in_order: VecDeque<Asked>,
    last_ticket: u64,
}

struct Wait {
    ticket: Ticket,
    committed_ns: u64,
    replies: Vec<oneshot::Sender<Receipt>>,
}

impl Waits {
    /// Somebody waits. A ticket for the barrier, unless somebody has waited for the same before: then the wait goes on.
    pub(super) fn add(
        &mut self,
        asked: Asked,
        reply: oneshot::Sender<Receipt>,
        now_ns: u64,
    ) -> Option<Ticket> {
        if let Some(receipt) = self.done.get(&asked) {
            let _whoever_went_away = reply.send(*receipt);
            return None;
        }
        if let Some(wait) = self.by_change.get_mut(&asked) {
            wait.replies.push(reply);
            return None;
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.by_change.insert(asked, Wait { ticket, committed_ns: now_ns, replies: vec![reply] });
        self.by_ticket.insert(ticket, asked);
        Some(ticket)
    }

    /// The change holds everywhere. Which it is, and since when it was waited for.
    pub(super) fn done(&mut self, ticket: Ticket, receipt: Receipt) -> Option<(Asked, u64)> {
        let asked = self.by_ticket.remove(&ticket)?;
        let wait = self.by_change.remove(&asked)?;
        for reply in wait.replies {
            let _whoever_went_away = reply.send(receipt);
        }
        if self.done_in_order.len() >= DONE_MAX
            && let Some(oldest) = self.done_in_order.pop_front()
        {
            self.done.remove(&oldest);
        }
        self.done.insert(asked, receipt);
        self.done_in_order.push_back(asked);
        Some((asked, wait.committed_ns))
    }

    /// Nobody can tell whether the change is in force: whoever waits is told of no receipt, now or when asking again.
    pub(super) fn overtaken(&mut self, ticket: Ticket) {
        if let Some(asked) = self.by_ticket.remove(&ticket) {
            self.by_change.remove(&asked);
        }
    }

    /// How many changes are waited for.
    pub(super) fn open(&self) -> usize {
        self.by_change.len()
    }

    /// How far a change is.
    pub(super) fn progress(&self, barrier: &Barrier, asked: Asked, now_ns: u64) -> Progress {
        if let Some(receipt) = self.done.get(&asked) {
            return holds(*receipt);
        }
        let wait_ns = Timing::STANDARD.wait_ns(asked.term);
        let Some(wait) = self.by_change.get(&asked) else {
            return Progress::Waiting { on: Vec::new(), complete_in: Duration::from_nanos(wait_ns) };
        };
        let on = barrier
            .waiting_on(wait.ticket, now_ns)
            .into_iter()
            .map(|node| WaitingOn { node: node.name, lease_left: Duration::from_nanos(node.lease_left_ns) });
        let left_ns = (wait.committed_ns + wait_ns).saturating_sub(now_ns);
        Progress::Waiting { on: on.collect(), complete_in: Duration::from_nanos(left_ns) }
    }
}

pub(super) const fn holds(receipt: Receipt) -> Progress {
    Progress::Holds { nodes: receipt.nodes, silent: receipt.silent }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: Asked = Asked { sequence: 7, term: LeaseTerm::Short };
    const RECEIPT: Receipt = Receipt { nodes: 3, silent: 0 };

    #[test]
    fn asking_again_continues_the_same_wait() {
        let mut waits = Waits::default();
        let barrier = Barrier::new(Timing::STANDARD);
        let (first, mut first_reply) = oneshot::channel();
        let (second, mut second_reply) = oneshot::channel();
        let ticket = waits.add(CHANGE, first, 1_000).unwrap();
        assert_eq!(waits.add(CHANGE, second, 2_000), None);
        assert_eq!(waits.open(), 1);
        let Progress::Waiting { complete_in, .. } = waits.progress(&barrier, CHANGE, 2_000) else { panic!() };
        assert_eq!(complete_in, Duration::from_nanos(Timing::STANDARD.wait_ns(LeaseTerm::Short) - 1_000));
        assert_eq!(waits.done(ticket, RECEIPT), Some((CHANGE, 1_000)));
        assert_eq!((first_reply.try_recv(), second_reply.try_recv()), (Ok(RECEIPT), Ok(RECEIPT)));
        let (third, mut third_reply) = oneshot::channel();
        assert_eq!(waits.add(CHANGE, third, 3_000), None);
        assert_eq!(third_reply.try_recv(), Ok(RECEIPT));
        assert_eq!(waits.progress(&barrier, CHANGE, 3_000), holds(RECEIPT));
        assert_eq!((waits.open(), waits.done(ticket, RECEIPT)), (0, None));
    }

    #[test]
    fn what_a_fail_over_overtook_is_never_said_to_hold() {
        let mut waits = Waits::default();
        let barrier = Barrier::new(Timing::STANDARD);
        let (reply, mut receipt) = oneshot::channel();
        let ticket = waits.add(CHANGE, reply, 1_000).unwrap();
        waits.overtaken(ticket);
        assert!(receipt.try_recv().is_err());
        assert!(matches!(waits.progress(&barrier, CHANGE, 2_000), Progress::Waiting { .. }));
        assert_eq!(waits.done(ticket, RECEIPT), None);
        assert!(waits.add(CHANGE, oneshot::channel().0, 3_000).is_some(), "asked again, it is judged again");
    }

    #[test]
    fn receipts_are_kept_for_a_while() {
        let mut waits = Waits::default();
        for sequence in 0..=DONE_MAX as u64 {
            let asked = Asked { sequence, ..CHANGE };
            let ticket = waits.add(asked, oneshot::channel().0, 0).unwrap();
            waits.done(ticket, RECEIPT);
        }
        assert_eq!(waits.done.len(), DONE_MAX);
        assert!(!waits.done.contains_key(&Asked { sequence: 0, ..CHANGE }));
    }
}
