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
/// How long a change is waited for that nobody has asked for yet: much longer than healthy nodes take.
const EXPECTED_NS: u64 = 100_000_000;

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
    /// Until when changes are waited for that nobody has asked for yet.
    expected: VecDeque<(u64, Ticket)>,
}

/// A wait that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Over {
    /// What was waited for.
    pub(super) asked: Asked,
    /// Since when.
    pub(super) since_ns: u64,
    /// The tickets of waits that are over with it.
    pub(super) others: Vec<Ticket>,
}

struct Wait {
    ticket: Ticket,
    committed_ns: u64,
    replies: Vec<oneshot::Sender<Receipt>>,
}

impl Waits {
    /// A change was committed that somebody is going to wait for: by the time that is heard here, the nodes may have applied
    /// it. It is waited for by the longest term, which answers for every other.
    pub(super) fn expect(&mut self, sequence: u64, now_ns: u64) -> Option<Ticket> {
        let asked = Asked { sequence, term: LeaseTerm::Long };
        if self.done.contains_key(&asked) || self.by_change.contains_key(&asked) {
            return None;
        }
        let ticket = self.begin(asked, now_ns, None);
        self.expected.push_back((now_ns + EXPECTED_NS, ticket));
        Some(ticket)
    }

    /// When the next expectation ends.
    pub(super) fn next_end_ns(&self) -> u64 {
        self.expected.front().map_or(u64::MAX, |(ends_ns, _)| *ends_ns)
    }

    /// The tickets of changes that nobody has asked for in time. They are not waited for any more.
    pub(super) fn end_expectations(&mut self, now_ns: u64) -> Vec<Ticket> {
        let mut ended = Vec::new();
        while let Some(&(ends_ns, ticket)) = self.expected.front()
            && ends_ns <= now_ns
        {
            self.expected.pop_front();
            if let Some(asked) = self.by_ticket.get(&ticket)
                && self.by_change.get(asked).is_some_and(|wait| wait.replies.is_empty())
            {
                self.by_change.remove(asked);
                self.by_ticket.remove(&ticket);
                ended.push(ticket);
            }
        }
        ended
    }

    /// Somebody waits. A ticket for the barrier, unless somebody has waited for the same before: then the wait goes on.
    pub(super) fn add(
        &mut self,
        asked: Asked,
        reply: oneshot::Sender<Receipt>,
        now_ns: u64,
    ) -> Option<Ticket> {
        if let Some(receipt) = self.receipt(asked) {
            let _whoever_went_away = reply.send(receipt);
            return None;
        }
        if let Some(wait) = self.by_change.get_mut(&asked) {
            wait.replies.push(reply);
            return None;
        }
        Some(self.begin(asked, now_ns, Some(reply)))
    }

    fn begin(&mut self, asked: Asked, now_ns: u64, reply: Option<oneshot::Sender<Receipt>>) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let wait = Wait { ticket, committed_ns: now_ns, replies: reply.into_iter().collect() };
        self.by_change.insert(asked, wait);
        self.by_ticket.insert(ticket, asked);
        ticket
    }

    /// What holds by the longest term holds by every other.
    fn receipt(&self, asked: Asked) -> Option<Receipt> {
        let by_longest = Asked { term: LeaseTerm::Long, ..asked };
        self.done.get(&asked).or_else(|| self.done.get(&by_longest)).copied()
    }

    /// The change holds everywhere. Which it is, since when it was waited for, and what is over with it: waits by shorter terms,
    /// and an expectation that somebody asks.
    pub(super) fn done(&mut self, ticket: Ticket, receipt: Receipt) -> Option<Over> {
        let asked = self.by_ticket.remove(&ticket)?;
        let wait = self.by_change.remove(&asked)?;
        let mut over = Over { asked, since_ns: wait.committed_ns, others: Vec::new() };
        answer(wait, receipt);
        for term in LeaseTerm::ALL {
            let other = Asked { term, ..asked };
            let is_over = |wait: &Wait| {
                asked.term == LeaseTerm::Long || (term == LeaseTerm::Long && wait.replies.is_empty())
            };
            if self.by_change.get(&other).is_some_and(is_over)
                && let Some(wait) = self.by_change.remove(&other)
            {
                self.by_ticket.remove(&wait.ticket);
                over.since_ns = over.since_ns.min(wait.committed_ns);
                over.others.push(wait.ticket);
                answer(wait, receipt);
            }
        }
        if self.done_in_order.len() >= DONE_MAX
            && let Some(oldest) = self.done_in_order.pop_front()
        {
            self.done.remove(&oldest);
        }
        self.done.insert(asked, receipt);
        self.done_in_order.push_back(asked);
        Some(over)
    }

    /// Nobody can tell whether the change is in force: whoever waits is told of no receipt, now or when asking again.
    pub(super) fn overtaken(&mut self, ticket: Ticket) {
        if let Some(asked) = self.by_ticket.remove(&ticket) {
            self.by_change.remove(&asked);
        }
    }

    /// How many changes somebody waits for.
    pub(super) fn open(&self) -> usize {
        self.by_change.values().filter(|wait| !wait.replies.is_empty()).count()
    }

    /// How far a change is.
    pub(super) fn progress(&self, barrier: &Barrier, asked: Asked, now_ns: u64) -> Progress {
        if let Some(receipt) = self.receipt(asked) {
            return holds(receipt);
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

fn answer(wait: Wait, receipt: Receipt) {
    for reply in wait.replies {
        let _whoever_went_away = reply.send(receipt);
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
        let over = Over { asked: CHANGE, since_ns: 1_000, others: Vec::new() };
        assert_eq!(waits.done(ticket, RECEIPT), Some(over));
        assert_eq!((first_reply.try_recv(), second_reply.try_recv()), (Ok(RECEIPT), Ok(RECEIPT)));
        let (third, mut third_reply) = oneshot::channel();
        assert_eq!(waits.add(CHANGE, third, 3_000), None);
        assert_eq!(third_reply.try_recv(), Ok(RECEIPT));
        assert_eq!(waits.progress(&barrier, CHANGE, 3_000), holds(RECEIPT));
        assert_eq!((waits.open(), waits.done(ticket, RECEIPT)), (0, None));
    }

    #[test]
    fn what_was_expected_is_over_when_somebody_asks() {
        let mut waits = Waits::default();
        let expected = waits.expect(7, 1_000).unwrap();
        assert_eq!((waits.expect(7, 1_000), waits.open()), (None, 0));
        let (early, mut early_reply) = oneshot::channel();
        let early_ticket = waits.add(CHANGE, early, 2_000).unwrap();
        assert_ne!(early_ticket, expected, "by its own term, it may be over earlier");
        let over = waits.done(expected, RECEIPT).unwrap();
        assert_eq!((over.asked.sequence, over.since_ns, over.others), (7, 1_000, vec![early_ticket]));
        let (late, mut late_reply) = oneshot::channel();
        assert_eq!(waits.add(CHANGE, late, 3_000), None);
        assert_eq!((early_reply.try_recv(), late_reply.try_recv()), (Ok(RECEIPT), Ok(RECEIPT)));
        assert_eq!((waits.expect(7, 4_000), waits.done(early_ticket, RECEIPT)), (None, None));
    }

    #[test]
    fn what_is_over_by_its_own_term_is_not_expected_any_more() {
        let mut waits = Waits::default();
        let expected = waits.expect(7, 1_000).unwrap();
        let ticket = waits.add(CHANGE, oneshot::channel().0, 2_000).unwrap();
        let over = waits.done(ticket, RECEIPT).unwrap();
        assert_eq!((over.since_ns, over.others), (1_000, vec![expected]));
        assert_eq!(waits.done(expected, RECEIPT), None);
        let long = Asked { term: LeaseTerm::Long, ..CHANGE };
        assert!(
            waits.add(long, oneshot::channel().0, 3_000).is_some(),
            "a shorter term tells nothing of longer ones"
        );
    }

    #[test]
    fn what_nobody_asks_for_is_not_expected_for_ever() {
        let mut waits = Waits::default();
        let (alone, asked_for) = (waits.expect(7, 1_000).unwrap(), waits.expect(8, 1_001).unwrap());
        let long = Asked { sequence: 8, term: LeaseTerm::Long };
        assert_eq!(waits.add(long, oneshot::channel().0, 2_000), None);
        assert_eq!(waits.next_end_ns(), 1_000 + EXPECTED_NS);
        assert_eq!(waits.end_expectations(999 + EXPECTED_NS), []);
        assert_eq!(waits.end_expectations(1_000 + EXPECTED_NS), [alone]);
        assert_eq!(waits.end_expectations(1_001 + EXPECTED_NS), [], "somebody waits for it");
        assert_eq!((waits.next_end_ns(), waits.done(alone, RECEIPT)), (u64::MAX, None));
        assert!(waits.done(asked_for, RECEIPT).is_some());
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
