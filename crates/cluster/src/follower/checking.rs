//! For checkers: they tell states apart by what may still make a difference.

use keywright_domain::control::Incarnation;

use super::{Follower, Operation, Phase};

/// A span that is as long as this is longer than any clock will run.
const FOR_EVER_NS: u64 = u64::MAX / 4;

impl Follower {
    /// The same machine at the same moment, told by a clock that shows `by_ns` less. What lies further back than the
    /// clock's zero counts as having been at zero. For checkers: they tell states apart by what differs from now.
    #[must_use]
    pub fn rebased(mut self, by_ns: u64) -> Self {
        let earlier = |at_ns: &mut u64| *at_ns = at_ns.saturating_sub(by_ns);
        self.unsettled_since_ns.iter_mut().for_each(earlier);
        self.in_flight.iter_mut().for_each(|(_, sent_at_ns)| earlier(sent_at_ns));
        self.vouched.iter_mut().for_each(|vouched| earlier(&mut vouched.sent_at_ns));
        earlier(&mut self.acknowledge_from_ns);
        earlier(&mut self.next_poll_ns);
        earlier(&mut self.not_before_ns);
        self
    }

    /// The same machine without what makes no difference any more: from now on, it says the same to the same inputs, but
    /// for moments that are over (the end of a lease that has run out, when to ask at last for what is due already) and
    /// for the moment that a [`Output::WallClock`](super::Output::WallClock) was asked at.
    ///
    /// - A moment from which on something is done is now or later, or it is over, and then it does not matter since when.
    /// - Only of a poll does it matter when it was sent, and only while a lease that counts from there would last.
    /// - What was announced or acknowledged matters where it differs from what is in memory, and while memory follows the
    ///   log: until it does again, it is overwritten (`loaded`). What is in memory then does not matter either.
    /// - What was announced when an operation began matters to a fetch only.
    /// - How often it failed makes the next pause longer, up to the pause between polls.
    #[must_use]
    pub fn canonical(mut self, now_ns: u64) -> Self {
        let timing = self.timing;
        let forget_past = |at_ns: &mut u64| *at_ns = if *at_ns <= now_ns { 0 } else { *at_ns };
        forget_past(&mut self.acknowledge_from_ns);
        forget_past(&mut self.next_poll_ns);
        forget_past(&mut self.not_before_ns);
        let longest_ns = timing.terms_ns.into_iter().fold(timing.poll_every_ns, u64::max);
        let forget_run_out =
            |at_ns: &mut u64| *at_ns = if *at_ns + longest_ns <= now_ns { 0 } else { *at_ns };
        match &mut self.in_flight {
            Some((Operation::Poll { .. }, sent_at_ns)) => forget_run_out(sent_at_ns),
            Some((_, sent_at_ns)) => *sent_at_ns = 0,
            None => {}
        }
        self.vouched.iter_mut().for_each(|vouched| forget_run_out(&mut vouched.sent_at_ns));
        if !matches!(self.in_flight, Some((Operation::Fetch { .. }, _))) {
            self.fetching_to = 0;
        }
        if self.phase == Phase::Following {
            self.announced = self.announced.max(self.applied);
        } else {
            (self.announced, self.acknowledged) = (0, 0);
        }
        if self.phase == Phase::Empty {
            self.applied = 0;
        }
        if timing.settle_ns >= FOR_EVER_NS {
            self.unsettled_since_ns = None;
        }
        if timing.retry_after_ns >= timing.poll_every_ns {
            self.failures = 0;
        }
        self
    }

    /// The same machine with other names for runs: only whether two are the same matters.
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(Incarnation) -> Incarnation) -> Self {
        self.incarnation = self.incarnation.map(&name);
        let operations = self.in_flight.iter_mut().map(|(operation, _)| operation).chain(&mut self.next);
        operations.for_each(|operation| *operation = operation.renamed(&name));
        self
    }
}

impl Operation {
    /// The same with another name for the run.
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(Incarnation) -> Incarnation) -> Self {
        match &mut self {
            Self::Poll { incarnation, .. }
            | Self::Acknowledge { incarnation, .. }
            | Self::Reassert { incarnation, .. } => *incarnation = name(*incarnation),
            Self::Register { .. } | Self::Load | Self::Fetch { .. } | Self::BeginGeneration { .. } => {}
        }
        self
    }
}
