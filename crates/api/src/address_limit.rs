//! How many requests one address may make: two sliding windows per address, in bounded memory.
//!
//! Each window is a sliding window counter, as the limits of keys are: the fixed window before counts by the share of it
//! that still lies inside the sliding one. A request is admitted by both windows or counted in neither.

use std::{
    hash::{DefaultHasher, Hasher},
    net::IpAddr,
};

use parking_lot::Mutex;

use crate::{
    caps::{UNAUTHENTICATED_PER_HOUR, UNAUTHENTICATED_PER_MINUTE, UNAUTHENTICATED_TABLE_ADDRESSES},
    throttle::network_of,
};

/// Addresses whose hash falls on the same set share its places.
const WAYS: usize = 8;
/// A minute and an hour.
const WINDOWS: [(&str, u64); 2] = [("minute", 60_000), ("hour", 3_600_000)];

/// How much one address may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressLimitSettings {
    /// Requests per minute; 0 switches this window off.
    pub per_minute: u32,
    /// Requests per hour; 0 switches this window off.
    pub per_hour: u32,
    /// Addresses remembered at most; rounded up to a power of two of at least 8.
    pub table_addresses: usize,
}

impl Default for AddressLimitSettings {
    fn default() -> Self {
        Self {
            per_minute: UNAUTHENTICATED_PER_MINUTE,
            per_hour: UNAUTHENTICATED_PER_HOUR,
            table_addresses: UNAUTHENTICATED_TABLE_ADDRESSES,
        }
    }
}

/// One window of an address as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressReading {
    /// `minute` or `hour`.
    pub name: &'static str,
    /// Requests per window.
    pub limit: u32,
    /// Its length, in seconds.
    pub window_seconds: u32,
    /// Requests left.
    pub remaining: u32,
    /// Seconds, rounded up, until the fixed window ends.
    pub reset_seconds: u32,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Both windows, or those that are switched on.
    pub readings: Vec<AddressReading>,
    /// `Some` when the request is refused: in how many whole seconds, at least 1, the same address is admitted again.
    pub retry_after_seconds: Option<u64>,
}

#[derive(Clone, Copy, Default)]
struct Counter {
    /// Which fixed window, counted from the clock's beginning.
    index: u64,
    current: u32,
    previous: u32,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// See [`network_of`]. 0: the place is free.
    network: u64,
    counters: [Counter; 2],
}

/// Counts requests per address. All clock values are milliseconds on one clock that does not step, given by the caller.
pub struct AddressLimit {
    sets: Box<[Mutex<[Entry; WAYS]>]>,
    seed: u64,
    limits: [u32; 2],
}

impl AddressLimit {
    /// An empty table. `seed` is random, so that nobody can aim at the places of others.
    pub fn new(settings: AddressLimitSettings, seed: u64) -> Self {
        let is_off = settings.per_minute == 0 && settings.per_hour == 0;
        let addresses = if is_off { WAYS } else { settings.table_addresses };
        let sets = (addresses / WAYS).max(1).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Mutex::new([Entry::default(); WAYS])).collect(),
            seed,
            limits: [settings.per_minute, settings.per_hour],
        }
    }

    /// Whether no address has any limit.
    pub fn is_off(&self) -> bool {
        self.limits == [0; 2]
    }

    /// A request from `address`: counts it if every window admits it.
    pub fn take(&self, address: IpAddr, now_ms: u64) -> Taken {
        let network = network_of(address);
        let mut set = self.set_of(network).lock();
        let entry = place_for(&mut set, network, now_ms);
        if entry.network != network {
            *entry = Entry { network, ..Entry::default() };
        }
        let mut retry_after_ms = None;
        for (place, (_, length_ms)) in WINDOWS.into_iter().enumerate() {
            entry.counters[place].turn_to(now_ms / length_ms);
            let wait = entry.counters[place].wait_ms(self.limits[place], length_ms, now_ms);
            retry_after_ms = retry_after_ms.max(wait);
        }
        if retry_after_ms.is_none() {
            for counter in &mut entry.counters {
                counter.current = counter.current.saturating_add(1);
            }
        }
        let readings = self.readings(entry, now_ms);
        Taken { readings, retry_after_seconds: retry_after_ms.map(|wait| wait.div_ceil(1_000).max(1)) }
    }

    /// A request that was counted turned out to be none of this kind.
    pub fn give_back(&self, address: IpAddr, now_ms: u64) {
        let network = network_of(address);
        let mut set = self.set_of(network).lock();
        if let Some(entry) = set.iter_mut().find(|entry| entry.network == network) {
            for (counter, (_, length_ms)) in entry.counters.iter_mut().zip(WINDOWS) {
                counter.turn_to(now_ms / length_ms);
                counter.current = counter.current.saturating_sub(1);
            }
        }
    }

    /// Bytes of memory that the table takes. It never takes more.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.sets)
    }

    fn readings(&self, entry: &Entry, now_ms: u64) -> Vec<AddressReading> {
        let windows = entry.counters.iter().zip(WINDOWS).zip(self.limits).filter(|(_, limit)| *limit > 0);
        let readings = windows.map(|((counter, (name, length_ms)), limit)| AddressReading {
            name,
            limit,
            window_seconds: seconds(length_ms),
            remaining: limit.saturating_sub(counter.estimate(length_ms, now_ms)),
            reset_seconds: seconds(length_ms - now_ms % length_ms),
        });
        readings.collect()
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

impl Counter {
    fn turn_to(&mut self, index: u64) {
        // A clock that an earlier reading overtook is judged in the later window.
        if index > self.index {
            let previous = if index == self.index + 1 { self.current } else { 0 };
            *self = Self { index, current: 0, previous };
        }
    }

    /// Requests in the sliding window that ends now, rounded up.
    fn estimate(self, length_ms: u64, now_ms: u64) -> u32 {
        let left_ms = length_ms - now_ms % length_ms;
        let carried = (u64::from(self.previous) * left_ms).div_ceil(length_ms);
        self.current.saturating_add(u32::try_from(carried).unwrap_or(u32::MAX))
    }

    /// How long one more request has to wait, unless it is admitted now.
    fn wait_ms(self, limit: u32, length_ms: u64, now_ms: u64) -> Option<u64> {
        if limit == 0 || self.estimate(length_ms, now_ms) < limit {
            return None;
        }
        let elapsed_ms = now_ms % length_ms;
        // From the beginning of a fixed window: until so little of the one before is left that one more fits.
        let until = |previous: u32, room: u32| {
            let allowed = u64::from(room) * length_ms / u64::from(previous.max(1));
            length_ms.saturating_sub(allowed)
        };
        Some(if self.current < limit {
            until(self.previous, limit - 1 - self.current).saturating_sub(elapsed_ms)
        } else {
            length_ms - elapsed_ms + until(self.current, limit - 1)
        })
    }

    fn worth(self, length_ms: u64, now_ms: u64) -> u32 {
        let mut counter = self;
        counter.turn_to(now_ms / length_ms);
        counter.estimate(length_ms, now_ms)
    }
}

/// The network's own place, else a free one, else that of the address that did least in the hour.
fn place_for(set: &mut [Entry; WAYS], network: u64, now_ms: u64) -> &mut Entry {
    let worth = |entry: &Entry| entry.counters[1].worth(WINDOWS[1].1, now_ms);
    let position = set.iter().position(|entry| entry.network == network).unwrap_or_else(|| {
        (0..WAYS).min_by_key(|&position| worth(&set[position])).expect("a set has places")
    });
    &mut set[position]
}

fn seconds(milliseconds: u64) -> u32 {
    u32::try_from(milliseconds.div_ceil(1_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn limit(per_minute: u32, per_hour: u32) -> AddressLimit {
        let settings = AddressLimitSettings { per_minute, per_hour, ..AddressLimitSettings::default() };
        AddressLimit::new(settings, 7)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_admitted(limit: &AddressLimit, address: IpAddr, now_ms: u64) -> bool {
        limit.take(address, now_ms).retry_after_seconds.is_none()
    }

    #[test]
    fn both_sides_of_the_minute_and_of_the_hour() {
        let limit = limit(100, 1_000);
        let client = address("198.51.100.9");
        assert!((0..100).all(|_| is_admitted(&limit, client, 0)));
        let refused = limit.take(client, 0);
        assert_eq!(
            refused.retry_after_seconds,
            Some(61),
            "the window, and then until one request has left it"
        );
        assert_eq!((refused.readings[0].remaining, refused.readings[1].remaining), (0, 900));
        assert!(is_admitted(&limit, address("198.51.100.10"), 0));
        // 100 in every second minute, so that the minute never refuses; the hour's 1,000th is the last.
        for minute in (2..20).step_by(2) {
            assert!((0..100).all(|_| is_admitted(&limit, client, minute * 60_000)), "{minute}");
        }
        let refused = limit.take(client, 20 * 60_000);
        assert_eq!((refused.readings[0].remaining, refused.readings[1].remaining), (100, 0));
        assert_eq!(refused.retry_after_seconds, Some(40 * 60 + 4));
    }

    #[test]
    fn one_who_waits_as_long_as_told_is_admitted_and_not_a_second_sooner() {
        for (spent_at, now) in [(0, 0), (0, 59_999), (30_000, 31_000), (0, 61_000)] {
            let limit = limit(10, 0);
            let client = address("198.51.100.9");
            while is_admitted(&limit, client, spent_at) {}
            while is_admitted(&limit, client, now) {}
            let wait_ms = limit.take(client, now).retry_after_seconds.unwrap() * 1_000;
            assert!(!is_admitted(&limit, client, now + wait_ms - 1_000), "{now}");
            assert!(is_admitted(&limit, client, now + wait_ms), "{now}");
        }
    }

    #[test]
    fn what_is_given_back_was_not_spent() {
        let limit = limit(1, 1);
        let client = address("198.51.100.9");
        assert!(is_admitted(&limit, client, 0));
        limit.give_back(client, 0);
        assert!(is_admitted(&limit, client, 0));
        assert!(!is_admitted(&limit, client, 0));
        limit.give_back(address("198.51.100.10"), 0);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let limit = limit(1, 0);
        assert!(is_admitted(&limit, address("2001:db8:0:1::1"), 0));
        assert!(!is_admitted(&limit, address("2001:db8:0:1:ffff::2"), 0));
        assert!(is_admitted(&limit, address("2001:db8:0:2::1"), 0));
        assert!(is_admitted(&limit, address("::ffff:192.0.2.1"), 0));
        assert!(!is_admitted(&limit, address("192.0.2.1"), 0));
    }

    #[test]
    fn windows_can_be_switched_off() {
        let off = limit(0, 0);
        assert!(off.is_off());
        assert!((0..10_000).all(|_| is_admitted(&off, address("192.0.2.1"), 0)));
        let only_minutes = limit(5, 0);
        assert!(!only_minutes.is_off());
        assert_eq!(only_minutes.take(address("192.0.2.1"), 0).readings.len(), 1);
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let limit = limit(3, 3);
        let before = limit.memory_bytes();
        assert!(before <= 1_536 * 1_024, "{before}");
        for number in 0..200_000_u32 {
            limit.take(IpAddr::V4(Ipv4Addr::from(number)), 0);
            limit.take(IpAddr::V6(Ipv6Addr::from(u128::from(number) << 64 | 1 << 125)), 0);
        }
        assert_eq!(limit.memory_bytes(), before);
    }

    #[test]
    fn a_flood_of_addresses_does_not_free_one_that_is_refused() {
        let limit = limit(50, 50);
        let greedy = address("198.51.100.9");
        while is_admitted(&limit, greedy, 0) {}
        for number in 0..100_000_u32 {
            limit.take(IpAddr::V4(Ipv4Addr::from(number)), 0);
        }
        assert!(!is_admitted(&limit, greedy, 0));
    }

    proptest! {
        /// In any interval of a window's length less than twice the limit is admitted, and never more than the limit in a
        /// fixed window.
        #[test]
        fn the_bound_holds(steps in proptest::collection::vec(0_u64..4_000, 1..400), per_minute in 1_u32..20) {
            let limit = limit(per_minute, 0);
            let (mut now, mut admitted) = (0, Vec::new());
            for step in steps {
                now += step;
                if is_admitted(&limit, address("192.0.2.1"), now) {
                    admitted.push(now);
                }
            }
            for &start in &admitted {
                let in_any = admitted.iter().filter(|at| (start..start + 60_000).contains(*at)).count();
                prop_assert!(in_any < 2 * per_minute as usize);
                let in_fixed = admitted.iter().filter(|at| *at / 60_000 == start / 60_000).count();
                prop_assert!(in_fixed <= per_minute as usize);
            }
        }
    }
}
