//! Designs that break the promise on purpose, for the fault injection to catch: a harness that finds nothing wrong with
//! them finds nothing. Only in builds with the feature `negative-controls`, which is never in a release.

use keywright_cluster::{TermTable, Timing};
use keywright_domain::time::Clock as _;
use keywright_engine::LeaseEnd;

use crate::system::SystemClock;

/// The constants of the protocol.
pub(super) fn timing() -> Timing {
    #[cfg(feature = "negative-controls")]
    match on::chosen() {
        // A revocation returns after its commit.
        Some(on::Control::NoBarrier) => return Timing { waits_ns: [0; 4], ..Timing::STANDARD },
        // It waits for acknowledgements, but after one second for nobody.
        Some(on::Control::NoLease) => {
            let second_ns = 1_000_000_000;
            return Timing { waits_ns: [0, second_ns, second_ns, second_ns], ..Timing::STANDARD };
        }
        _ => {}
    }
    Timing::STANDARD
}

/// The leases to publish.
pub(super) fn leases(ends_ns: TermTable<u64>) -> [LeaseEnd; 4] {
    #[cfg(feature = "negative-controls")]
    if on::is_without_leases() {
        return [LeaseEnd::NEVER; 4];
    }
    ends_ns.map(LeaseEnd)
}

/// Whether leases are ever taken back.
pub(super) fn drops_leases() -> bool {
    #[cfg(feature = "negative-controls")]
    if on::is_without_leases() {
        return false;
    }
    true
}

/// The boot clock, as this process goes by it.
pub(super) fn boot_ns() -> u64 {
    let boot_ns = SystemClock.boot_ns();
    #[cfg(feature = "negative-controls")]
    return on::slowed(boot_ns);
    #[cfg(not(feature = "negative-controls"))]
    boot_ns
}

/// When the real boot clock is there, once the one that this process goes by is at `boot_ns`.
pub(super) fn real_ns(boot_ns: u64) -> u64 {
    #[cfg(feature = "negative-controls")]
    return on::unslowed(boot_ns);
    #[cfg(not(feature = "negative-controls"))]
    boot_ns
}

#[cfg(feature = "negative-controls")]
mod on {
    use std::sync::OnceLock;

    use keywright_domain::time::Clock as _;

    use crate::system::SystemClock;

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(super) enum Control {
        NoBarrier,
        NoLease,
        SlowClock,
    }

    pub(super) fn chosen() -> Option<Control> {
        static CHOSEN: OnceLock<Option<Control>> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            #[expect(clippy::disallowed_methods, reason = "a test build's own switch")]
            let text = std::env::var("KEYWRIGHT_NEGATIVE_CONTROL").unwrap_or_default();
            let chosen = match text.as_str() {
                "no-barrier" => Some(Control::NoBarrier),
                "no-lease" => Some(Control::NoLease),
                "slow-clock" => Some(Control::SlowClock),
                _ => None,
            };
            tracing::error!(control = text, "a build for fault injection: do not use it for anything else");
            chosen
        })
    }

    pub(super) fn is_without_leases() -> bool {
        matches!(chosen(), Some(Control::NoBarrier | Control::NoLease))
    }

    /// When the clock began to run slowly.
    fn start_ns() -> u64 {
        static START: OnceLock<u64> = OnceLock::new();
        *START.get_or_init(|| SystemClock.boot_ns())
    }

    /// Three tenths of the speed.
    pub(super) fn slowed(boot_ns: u64) -> u64 {
        if chosen() == Some(Control::SlowClock) {
            let start_ns = start_ns();
            return start_ns + boot_ns.saturating_sub(start_ns) / 10 * 3;
        }
        boot_ns
    }

    pub(super) fn unslowed(boot_ns: u64) -> u64 {
        if chosen() == Some(Control::SlowClock) && boot_ns != u64::MAX {
            let start_ns = start_ns();
            return start_ns + boot_ns.saturating_sub(start_ns) / 3 * 10 + 10;
        }
        boot_ns
    }
}
