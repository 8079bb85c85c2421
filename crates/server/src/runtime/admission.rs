//! Who may connect: at most so many connections in all, and of one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use ipnet::IpNet;
use parking_lot::Mutex;

use super::ConnectionLimits;

/// Numbers of connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionGauges {
    open: AtomicUsize,
    accepted: AtomicU64,
    turned_away: AtomicU64,
    timed_out: AtomicU64,
}

impl ConnectionGauges {
    /// Open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Closed at once because there were too many.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Closed because the client was too slow, or idle for too long.
    pub(crate) fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    pub(super) fn count_timeout(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts connections and turns away what is too many.
pub(super) struct Admission {
    gauges: Arc<ConnectionGauges>,
    by_address: Mutex<HashMap<IpAddr, u32>>,
    limits: ConnectionLimits,
    exempt: Vec<IpNet>,
}

/// A connection's place. Given back on drop.
pub(super) struct Place {
    admission: Arc<Admission>,
    counted: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(limits: ConnectionLimits, exempt: Vec<IpNet>) -> Self {
        Self { gauges: Arc::default(), by_address: Mutex::default(), limits, exempt }
    }

    pub(super) const fn gauges(&self) -> &Arc<ConnectionGauges> {
        &self.gauges
    }

    /// Whether nine tenths of all places are taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.gauges.open() * 10 >= self.limits.connections * 9
    }

    /// A place for a connection from `address`, unless there are too many.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let admitted = self.try_admit(address.to_canonical());
        let counter = if admitted.is_some() { &self.gauges.accepted } else { &self.gauges.turned_away };
        counter.fetch_add(1, Ordering::Relaxed);
        admitted
    }

    fn try_admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        // Counted first, so that two workers cannot both take the last place.
        let before = self.gauges.open.fetch_add(1, Ordering::Relaxed);
        let mut place = Place { admission: Arc::clone(self), counted: None };
        if before >= self.limits.connections {
            return None;
        }
        if !self.exempt.iter().any(|network| network.contains(&address)) {
            let mut by_address = self.by_address.lock();
            let count = by_address.entry(address).or_insert(0);
            if *count >= self.limits.connections_per_address {
                drop(by_address);
                return None;
            }
            *count += 1;
            place.counted = Some(address);
        }
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.gauges.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.counted else { return };
        let mut by_address = self.admission.by_address.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn admission(connections: usize, per_address: u32) -> Arc<Admission> {
        let mut limits = ConnectionLimits::from(&config::Limits::default());
        limits.connections = connections;
        limits.connections_per_address = per_address;
        Arc::new(Admission::new(limits, vec!["10.0.0.0/8".parse().unwrap()]))
    }

    #[test]
    fn in_all() {
        let admission = admission(2, 9);
        let admit = || admission.admit([127, 0, 0, 1].into());
        let first = admit().unwrap();
        let _second = admit().unwrap();
        assert!(admit().is_none() && admission.is_crowded());
        drop(first);
        assert!(admit().is_some());
        assert_eq!(admission.gauges().open(), 1);
        assert_eq!((admission.gauges().accepted(), admission.gauges().turned_away()), (3, 1));
    }

    #[test]
    fn of_one_address_unless_it_is_a_trusted_proxy() {
        let admission = admission(9, 1);
        let held = admission.admit([192, 0, 2, 1].into()).unwrap();
        assert!(admission.admit([192, 0, 2, 1].into()).is_none());
        assert!(admission.admit("::ffff:192.0.2.1".parse().unwrap()).is_none(), "the same address, mapped");
        assert!(admission.admit([192, 0, 2, 2].into()).is_some());
        drop(held);
        assert!(admission.admit([192, 0, 2, 1].into()).is_some());
        let proxies: Vec<_> = (0..3).map(|_| admission.admit([10, 1, 2, 3].into())).collect();
        assert!(proxies.iter().all(Option::is_some));
        drop(proxies);
        assert!(admission.by_address.lock().is_empty());
        assert_eq!(admission.gauges().open(), 0);
    }
}
