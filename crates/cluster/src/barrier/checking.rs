//! For checkers: they tell states apart by what may still make a difference.

use keywright_domain::control::Incarnation;

use super::Barrier;

impl Barrier {
    /// The same machine at the same moment, told by a clock that shows `by_ns` less; see
    /// [`Follower::rebased`](crate::Follower::rebased).
    #[must_use]
    pub fn rebased(mut self, by_ns: u64) -> Self {
        let earlier = |at_ns: &mut u64| *at_ns = at_ns.saturating_sub(by_ns);
        self.waiting.values_mut().for_each(|waiter| earlier(&mut waiter.committed_ns));
        for seen in self.nodes.values_mut() {
            earlier(&mut seen.silent_since_ns);
            seen.challenging.iter_mut().for_each(|(_, since_ns)| earlier(since_ns));
            seen.fencing_since_ns.iter_mut().for_each(earlier);
        }
        earlier(&mut self.next_look_ns);
        self
    }

    /// The same machine without what makes no difference any more: from now on, it says the same to the same inputs, but
    /// for the moment from which it says that it would like to look.
    ///
    /// - From when on it looks again does not matter once that is over; nor what it learned of when to look.
    /// - How long a node has been silent does not matter beyond the longest wait.
    /// - A challenge or a fence that is under way does not matter once it would be tried again.
    #[must_use]
    pub fn canonical(mut self, now_ns: u64) -> Self {
        let timing = self.timing;
        self.first_pause_ns = timing.look_every_ns;
        self.waiting.values_mut().for_each(|waiter| waiter.was_looked_for = false);
        if self.next_look_ns <= now_ns {
            self.next_look_ns = 0;
        }
        for seen in self.nodes.values_mut() {
            if seen.silent_since_ns + timing.waits_ns.into_iter().fold(0, u64::max) <= now_ns {
                seen.silent_since_ns = 0;
            }
            let is_over = |since_ns: u64| now_ns >= since_ns + timing.poll_every_ns;
            seen.challenging.take_if(|(_, since_ns)| is_over(*since_ns));
            seen.fencing_since_ns.take_if(|since_ns| is_over(*since_ns));
        }
        self
    }

    /// The same machine without what it remembers of nodes. Where each look finds each node to have polled since the one
    /// before, a look makes no use of what was remembered: it overwrites it, or would use it only for a node that has been
    /// silent. In between, they are counted only: for the receipt of a change that was waited for to the end of its time, and for
    /// the pause before the first look for a change.
    #[must_use]
    pub fn without_nodes(mut self) -> Self {
        self.nodes.clear();
        self
    }

    /// The same machine with other names for runs, and other numbers of polls: only whether two are the same matters, and
    /// whether a number is 0.
    #[must_use]
    pub fn renamed(
        mut self,
        name: impl Fn(Incarnation) -> Incarnation,
        renewals: impl Fn(Incarnation, u64) -> u64,
    ) -> Self {
        let rename = |(run, mut seen): (Incarnation, super::Seen)| {
            seen.renewals = renewals(run, seen.renewals);
            (name(run), seen)
        };
        self.nodes = self.nodes.into_iter().map(rename).collect();
        self
    }

    /// The nodes that it remembers, with the number of polls that they had made.
    pub fn nodes(&self) -> impl Iterator<Item = (Incarnation, u64)> {
        self.nodes.iter().map(|(run, seen)| (*run, seen.renewals))
    }
}
