//! The constants of the protocol.

use keywright_domain::lease::LeaseTerm;

/// A value for each lease term, indexed by `LeaseTerm as usize`.
pub type TermTable<T> = [T; LeaseTerm::ALL.len()];

/// Time spans of the protocol, in nanoseconds on the boot clock of whoever measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// Length of a lease, by term.
    pub terms_ns: TermTable<u64>,
    /// How long a revoker waits for nodes that it does not hear of, by term: longer than the lease on the slowest clock.
    pub waits_ns: TermTable<u64>,
    /// From one poll to the next.
    pub poll_every_ns: u64,
    /// From a failure to the next attempt, at first; doubled up to `poll_every_ns`.
    pub retry_after_ns: u64,
    /// From the application of a node's own commits to their acknowledgement: whoever committed them waits for others, so
    /// that it may go with what comes next.
    pub acknowledge_own_after_ns: u64,
    /// From one look at the registry to the next while something waits, at first.
    pub look_every_ns: u64,
    /// The longest such pause.
    pub look_every_max_ns: u64,
    /// The longest pause from a commit to the first look for it.
    pub first_look_max_ns: u64,
    /// From one look to the next while nothing waits: who is silent is noticed so much later.
    pub look_idle_every_ns: u64,
    /// How long a node without memory of the time before waits for the others after a change of history.
    pub settle_ns: u64,
}

const MILLISECOND_NS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000 * MILLISECOND_NS;

/// Two clocks may differ in rate by this ratio at most, `5/4`: the worst that chrony slews to is 1.18.
const RATE: (u64, u64) = (5, 4);
/// Added to each wait, for clocks that are read in steps.
const GRACE_NS: u64 = 500 * MILLISECOND_NS;

impl Timing {
    /// The constants that servers use.
    pub const STANDARD: Self = Self {
        terms_ns: [0, terms(1), terms(2), terms(3)],
        waits_ns: [0, wait(terms(1)), wait(terms(2)), wait(terms(3))],
        poll_every_ns: 2 * SECOND_NS,
        retry_after_ns: 100 * MILLISECOND_NS,
        acknowledge_own_after_ns: 20 * MILLISECOND_NS,
        look_every_ns: MILLISECOND_NS * 3 / 10,
        look_every_max_ns: 20 * MILLISECOND_NS,
        first_look_max_ns: 2 * MILLISECOND_NS,
        look_idle_every_ns: 10 * SECOND_NS,
        settle_ns: terms(2) + 10 * SECOND_NS,
    };

    /// Length of a lease.
    pub const fn term_ns(&self, term: LeaseTerm) -> u64 {
        self.terms_ns[term as usize]
    }

    /// How long a change is waited for at most; after that, no lease from before it is left.
    pub const fn wait_ns(&self, term: LeaseTerm) -> u64 {
        self.waits_ns[term as usize]
    }

    /// After this long, a silent node has no lease of any term.
    pub const fn longest_wait_ns(&self) -> u64 {
        self.waits_ns[LeaseTerm::Long as usize]
    }
}

const fn terms(index: usize) -> u64 {
    LeaseTerm::ALL[index].seconds() as u64 * SECOND_NS
}

const fn wait(term_ns: u64) -> u64 {
    term_ns / RATE.1 * RATE.0 + GRACE_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_outlasts_a_lease_on_the_slowest_clock() {
        let timing = Timing::STANDARD;
        assert_eq!(timing.wait_ns(LeaseTerm::Short), 4_250 * MILLISECOND_NS);
        assert_eq!(timing.wait_ns(LeaseTerm::Standard), 38 * SECOND_NS);
        assert_eq!(timing.wait_ns(LeaseTerm::Long), 375_500 * MILLISECOND_NS);
        // Without leases there is nothing to wait for.
        assert_eq!((timing.term_ns(LeaseTerm::ReadThrough), timing.wait_ns(LeaseTerm::ReadThrough)), (0, 0));
    }

    #[test]
    fn even_the_shortest_lease_outlasts_the_pause_between_polls() {
        let timing = Timing::STANDARD;
        assert!(timing.term_ns(LeaseTerm::Short) > timing.poll_every_ns + timing.retry_after_ns);
    }
}
