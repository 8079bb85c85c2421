//! Slows down whoever tries unknown keys: per address, in bounded memory.
//!
//! Only `invalid_key` answers are counted, that is well-formed keys that do not exist. A mistyped key fails its
//! checksum and a revoked or expired one existed, so neither is a guess. Guessing 142 random bits is hopeless
//! anyway; the throttle keeps the noise of trying away from logs and alerts.

use std::{
    hash::{DefaultHasher, Hasher},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::{
    caps::{BLOCKED_ADDRESSES_KEPT, FAILURE_TABLE_ADDRESSES, FAILURE_WINDOW_MS, FAILURES_PER_ADDRESS_MAX},
    error::{ApiError, ErrorCode},
};

/// Addresses whose hash falls on the same set share its places.
const WAYS: usize = 8;

/// How much failing is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// Failures per address and window after which the address is refused. 0 switches the throttle off.
    pub failures_max: u32,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// Addresses remembered at most; rounded up to a power of two of at least 8.
    pub table_addresses: usize,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            failures_max: FAILURES_PER_ADDRESS_MAX,
            window_ms: FAILURE_WINDOW_MS,
            table_addresses: FAILURE_TABLE_ADDRESSES,
        }
    }
}

/// The address is refused for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Whole seconds until it is not any more, at least 1.
    pub retry_after_seconds: u64,
}

impl From<Throttled> for ApiError {
    fn from(throttled: Throttled) -> Self {
        Self::new(ErrorCode::TooManyFailedAttempts).retry_after_seconds(throttled.retry_after_seconds)
    }
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// The first 64 bits of an IPv6 address, or the whole IPv4 address with [`IPV4_MARK`]. 0: the place is free.
    network: u64,
    window_end_ms: u64,
    failures: u32,
}

/// `0000:00ff:…` is reserved (RFC 4291, section 2.4), so no IPv6 client has such a network.
const IPV4_MARK: u64 = 0x0000_00ff_0000_0000;

/// Counts failures per address. All clock values are milliseconds on one clock that does not step, given by the caller.
pub struct FailureThrottle {
    sets: Box<[Mutex<[Entry; WAYS]>]>,
    seed: u64,
    settings: ThrottleSettings,
    /// When the last refusal known ends: while that is over, no request needs to look into the table.
    last_refusal_ends_ms: AtomicU64,
    /// Addresses that used up their failures and that nobody was told of yet.
    blocked: Mutex<Vec<IpAddr>>,
}

impl FailureThrottle {
    /// An empty table. `seed` is random, so that nobody can aim at the places of others.
    pub fn new(settings: ThrottleSettings, seed: u64) -> Self {
        let sets = (settings.table_addresses / WAYS).max(1).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Mutex::new([Entry::default(); WAYS])).collect(),
            seed,
            settings,
            last_refusal_ends_ms: AtomicU64::new(0),
            blocked: Mutex::default(),
        }
    }

    /// Whether a request from `address` may be judged at all. One atomic load while nobody is refused.
    ///
    /// # Errors
    /// [`Throttled`] when the address has used up its failures in the present window.
    #[inline]
    pub fn check(&self, address: IpAddr, now_ms: u64) -> Result<(), Throttled> {
        // A refusal published a moment later than this load is seen by the next request: close enough.
        if now_ms >= self.last_refusal_ends_ms.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.look_up(network_of(address), now_ms)
    }

    /// Counts an unknown key from `address`.
    pub fn record_failure(&self, address: IpAddr, now_ms: u64) {
        if self.settings.failures_max == 0 {
            return;
        }
        let network = network_of(address);
        let mut set = self.set_of(network).lock();
        let entry = place_for(&mut set, network, now_ms);
        if entry.network != network || now_ms >= entry.window_end_ms {
            *entry =
                Entry { network, window_end_ms: now_ms.saturating_add(self.settings.window_ms), failures: 0 };
        }
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures >= self.settings.failures_max {
            self.last_refusal_ends_ms.fetch_max(entry.window_end_ms, Ordering::Relaxed);
        }
        if entry.failures == self.settings.failures_max {
            let mut blocked = self.blocked.lock();
            if blocked.len() < BLOCKED_ADDRESSES_KEPT {
                blocked.push(address);
            }
        }
    }

    /// Addresses that used up their failures since the last call, at most [`BLOCKED_ADDRESSES_KEPT`], for the security
    /// event log.
    pub fn take_blocked(&self) -> Vec<IpAddr> {
        std::mem::take(&mut *self.blocked.lock())
    }

    /// A credential from `address` turned out unknown: counts it, and says whether the address has failed too often.
    ///
    /// Only failures are ever refused: a good key passes from any address, or one client with a wrong key could lock
    /// out everybody behind the same proxy.
    ///
    /// # Errors
    /// [`Throttled`] when the address had used up its failures before this one.
    pub fn refuse_failure(&self, address: IpAddr, now_ms: u64) -> Result<(), Throttled> {
        self.check(address, now_ms)?;
        self.record_failure(address, now_ms);
        Ok(())
    }

    /// Bytes of memory that the table takes. It never takes more.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.sets)
    }

    #[cold]
    fn look_up(&self, network: u64, now_ms: u64) -> Result<(), Throttled> {
        let set = self.set_of(network).lock();
        let refused = set.iter().find(|entry| {
            entry.network == network
                && entry.failures >= self.settings.failures_max
                && now_ms < entry.window_end_ms
        });
        match refused {
            Some(entry) => {
                Err(Throttled { retry_after_seconds: (entry.window_end_ms - now_ms).div_ceil(1_000) })
            }
            None => Ok(()),
        }
    }

    fn set_of(&self, network: u64) -> &Mutex<[Entry; WAYS]> {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(network);
        let mask = u64::try_from(self.sets.len() - 1).expect("a table has fewer than 2^64 sets");
        let index = usize::try_from(hasher.finish() & mask).expect("the mask is below the number of sets");
        &self.sets[index]
    }
}

/// The network's own place, else a free or expired one, else that of the address that failed least.
fn place_for(set: &mut [Entry; WAYS], network: u64, now_ms: u64) -> &mut Entry {
    let worth = |entry: &Entry| if now_ms < entry.window_end_ms { entry.failures } else { 0 };
    let position = set.iter().position(|entry| entry.network == network).unwrap_or_else(|| {
        (0..WAYS).min_by_key(|&position| worth(&set[position])).expect("a set has places")
    });
    &mut set[position]
}

/// One household or server has a whole IPv6 /64, so all of it counts as one address. Never 0.
pub(crate) fn network_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => IPV4_MARK | u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let network = u64::try_from(address.to_bits() >> 64).expect("64 bits are left");
            // Only `::1` and its like have 0 here, which marks a free place.
            network.max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn throttle(failures_max: u32) -> FailureThrottle {
        FailureThrottle::new(ThrottleSettings { failures_max, ..ThrottleSettings::default() }, 7)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_limit_holds_on_both_sides() {
        let throttle = throttle(300);
        let guesser = address("198.51.100.9");
        for _ in 0..299 {
            throttle.record_failure(guesser, 1_000);
        }
        assert_eq!(throttle.check(guesser, 1_000), Ok(()));
        throttle.record_failure(guesser, 1_500);
        assert_eq!(throttle.check(guesser, 1_500), Err(Throttled { retry_after_seconds: 60 }));
        assert_eq!(throttle.check(address("198.51.100.10"), 1_500), Ok(()));
    }

    #[test]
    fn the_window_ends_exactly() {
        let throttle = throttle(1);
        let guesser = address("198.51.100.9");
        throttle.record_failure(guesser, 5_000);
        assert_eq!(throttle.check(guesser, 64_999), Err(Throttled { retry_after_seconds: 1 }));
        assert_eq!(throttle.check(guesser, 65_000), Ok(()));
        throttle.record_failure(guesser, 65_000);
        assert_eq!(throttle.check(guesser, 65_000), Err(Throttled { retry_after_seconds: 60 }));
    }

    #[test]
    fn slow_failures_never_add_up() {
        let throttle = throttle(2);
        let client = address("198.51.100.9");
        for minute in 0..10 {
            throttle.record_failure(client, minute * FAILURE_WINDOW_MS);
            assert_eq!(throttle.check(client, minute * FAILURE_WINDOW_MS), Ok(()));
        }
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let throttle = throttle(1);
        throttle.record_failure(address("2001:db8:0:1::1"), 0);
        assert!(throttle.check(address("2001:db8:0:1:ffff::2"), 0).is_err());
        assert!(throttle.check(address("2001:db8:0:2::1"), 0).is_ok());
        throttle.record_failure(address("::ffff:192.0.2.1"), 0);
        assert!(throttle.check(address("192.0.2.1"), 0).is_err());
        assert!(throttle.check(address("192.0.2.2"), 0).is_ok());
        throttle.record_failure(address("::1"), 0);
        assert!(throttle.check(address("::1"), 0).is_err());
    }

    #[test]
    fn zero_switches_it_off() {
        let throttle = throttle(0);
        throttle.record_failure(address("192.0.2.1"), 0);
        assert_eq!(throttle.check(address("192.0.2.1"), 0), Ok(()));
    }

    #[test]
    fn a_clock_that_stands_or_steps_back_does_no_harm() {
        let throttle = throttle(1);
        throttle.record_failure(address("192.0.2.1"), u64::MAX);
        assert_eq!(throttle.check(address("192.0.2.1"), u64::MAX), Ok(()));
        throttle.record_failure(address("192.0.2.2"), 10_000);
        assert!(throttle.check(address("192.0.2.2"), 0).is_err());
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let throttle = throttle(3);
        let before = throttle.memory_bytes();
        assert!(before <= 512 * 1024, "{before}");
        for number in 0..200_000_u32 {
            throttle.record_failure(IpAddr::V4(Ipv4Addr::from(number)), 0);
            throttle.record_failure(IpAddr::V6(Ipv6Addr::from(u128::from(number) << 64 | 1 << 125)), 0);
        }
        assert_eq!(throttle.memory_bytes(), before);
    }

    #[test]
    fn a_flood_of_addresses_does_not_free_one_that_is_refused() {
        let throttle = throttle(50);
        let guesser = address("198.51.100.9");
        for _ in 0..50 {
            throttle.record_failure(guesser, 0);
        }
        for number in 0..100_000_u32 {
            throttle.record_failure(IpAddr::V4(Ipv4Addr::from(number)), 0);
        }
        assert!(throttle.check(guesser, 0).is_err());
    }

    #[test]
    fn the_answer_says_when_to_come_back() {
        let error = ApiError::from(Throttled { retry_after_seconds: 9 });
        let response = error.render("", None);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (429, &"9".parse().unwrap())
        );
    }
}
