//! Counts of requests by method, route and status, and how long they took.
//!
//! The hot routes are counted per worker, so that no two cores write to the same line of memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use keywright_api::{VerdictCounts, front::HotRoute};
use keywright_domain::verdict::Code;
use parking_lot::{Mutex, RwLock};

/// Upper ends of the duration histogram's buckets, in microseconds.
pub(crate) const BUCKETS_US: [u32; 14] =
    [25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// Statuses that are counted one by one; others as [`OTHER_STATUS`].
const STATUSES: [u16; 27] = [
    200, 201, 202, 204, 206, 301, 302, 304, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 422,
    429, 431, 500, 501, 503, 504,
];
const OTHER_STATUS: usize = STATUSES.len();

/// What is counted of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    statuses: [AtomicU64; STATUSES.len() + 1],
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl RouteStats {
    pub(crate) fn record(&self, status: StatusCode, duration_ns: u64) {
        let place = match status.as_u16() {
            200 => 0,
            other => STATUSES.iter().position(|known| *known == other).unwrap_or(OTHER_STATUS),
        };
        let bucket = BUCKETS_US.partition_point(|end_us| u64::from(*end_us) * 1_000 < duration_ns);
        self.statuses[place].fetch_add(1, Relaxed);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(duration_ns, Relaxed);
    }
}

/// The hot routes of one worker.
#[derive(Debug, Default)]
pub(crate) struct HotStats {
    /// `/v1/check`.
    pub(crate) check: RouteStats,
    /// `POST /v1/keys/verify`.
    pub(crate) verify: RouteStats,
    /// `POST /v1/prompts/get`.
    pub(crate) get_prompt: RouteStats,
    /// `GET /v1/prompts`.
    pub(crate) list_prompts: RouteStats,
}

impl HotStats {
    pub(crate) const fn of(&self, route: HotRoute) -> &RouteStats {
        match route {
            HotRoute::Check => &self.check,
            HotRoute::Verify => &self.verify,
            HotRoute::GetPrompt => &self.get_prompt,
            HotRoute::ListPrompts => &self.list_prompts,
        }
    }
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct RequestStats {
    hot: Mutex<Vec<(Arc<HotStats>, Arc<VerdictCounts>)>>,
    routes: RwLock<BTreeMap<(&'static str, String), Arc<RouteStats>>>,
}

/// The counts of one route, summed up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Requests by status; 0 for all statuses that are not counted one by one.
    pub(crate) by_status: Vec<(u16, u64)>,
    /// Requests by bucket, the last one open.
    pub(crate) buckets: [u64; BUCKETS_US.len() + 1],
    /// Sum of all durations.
    pub(crate) sum: Duration,
}

impl RequestStats {
    /// Counts of the hot routes and of verdicts, for one more worker.
    pub(crate) fn worker(&self) -> (Arc<HotStats>, Arc<VerdictCounts>) {
        let counts = (Arc::default(), Arc::default());
        self.hot.lock().push((Arc::clone(&counts.0), Arc::clone(&counts.1)));
        counts
    }

    /// Verdicts of this code, of all workers.
    pub(crate) fn verdicts(&self, code: Code) -> u64 {
        self.hot.lock().iter().map(|(_, verdicts)| verdicts.of(code)).sum()
    }

    /// Counts a request of another route. `route` is a template, never a path.
    pub(crate) fn record(&self, method: &Method, route: &str, status: StatusCode, duration_ns: u64) {
        let method = method_label(method);
        // Two lookups with an owned key would allocate; the table has as many entries as the API has endpoints.
        let known = self
            .routes
            .read()
            .iter()
            .find(|((known_method, known_route), _)| *known_method == method && known_route == route)
            .map(|(_, stats)| Arc::clone(stats));
        let counts = known.unwrap_or_else(|| {
            Arc::clone(self.routes.write().entry((method, route.to_owned())).or_default())
        });
        counts.record(status, duration_ns);
    }

    /// Everything, by method and route.
    pub(crate) fn summaries(&self) -> BTreeMap<(&'static str, String), Summary> {
        let mut all: BTreeMap<_, _> =
            self.routes.read().iter().map(|(key, stats)| (key.clone(), summary([&**stats]))).collect();
        let hot = self.hot.lock();
        for route in HotRoute::ALL {
            let method = route.method().map_or("ANY", method_label);
            all.insert(
                (method, route.path().to_owned()),
                summary(hot.iter().map(|(worker, _)| worker.of(route))),
            );
        }
        all
    }
}

fn summary<'a>(parts: impl IntoIterator<Item = &'a RouteStats>) -> Summary {
    let mut sum = Summary::default();
    let mut by_place = [0; STATUSES.len() + 1];
    for part in parts {
        let add = |sums: &mut [u64], counts: &[AtomicU64]| {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.load(Relaxed));
        };
        add(&mut by_place, &part.statuses);
        add(&mut sum.buckets, &part.buckets);
        sum.sum += Duration::from_nanos(part.sum_ns.load(Relaxed));
    }
    let names = STATUSES.into_iter().chain([0]);
    sum.by_status = names.zip(by_place).filter(|(_, count)| *count > 0).collect();
    sum
}

/// Methods are chosen by clients: unknown ones share a label.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_route_status_and_duration() {
        let stats = RequestStats::default();
        let workers = [stats.worker(), stats.worker()];
        for (worker, verdicts) in &workers {
            verdicts.count(Code::Valid);
            worker.check.record(StatusCode::NO_CONTENT, 25_000);
            worker.check.record(StatusCode::UNAUTHORIZED, 25_001);
        }
        let purge = Method::from_bytes(b"PURGE").unwrap();
        stats.record(&purge, "none", StatusCode::IM_A_TEAPOT, 99_000_000_000);
        assert_eq!((stats.verdicts(Code::Valid), stats.verdicts(Code::RateLimited)), (2, 0));
        let all = stats.summaries();
        let check = &all[&("ANY", "/v1/check".to_owned())];
        assert_eq!(check.by_status, [(204, 2), (401, 2)]);
        assert_eq!((check.buckets[0], check.buckets[1], check.sum), (2, 2, Duration::from_nanos(100_002)));
        let other = &all[&("OTHER", "none".to_owned())];
        assert_eq!((&*other.by_status, other.buckets[BUCKETS_US.len()]), (&[(0, 1)][..], 1));
    }
}
