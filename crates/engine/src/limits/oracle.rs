//! Both algorithms against an exact log of what was admitted and when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
};

use proptest::prelude::*;

use super::*;

/// A time well after the Unix epoch, on a boundary of every window used here.
const START_MS: u64 = 1_800_000_000_000;

fn tick(at_ms: u64) -> Tick {
    Tick { aligned_ms: START_MS + at_ms, boot_ns: (1_000_000 + at_ms) * 1_000_000 }
}

fn words() -> [AtomicU64; 2] {
    [AtomicU64::new(0), AtomicU64::new(0)]
}

fn window(limit: u32, window_seconds: u32, algorithm: Algorithm) -> Window {
    Window { limit, window_seconds, algorithm }
}

/// Everything admitted, exactly.
#[derive(Default)]
struct Log(Vec<(u64, u32)>);

impl Log {
    /// What was spent in `(until − length, until]`.
    fn spent(&self, until_ms: u64, length_ms: u64) -> u64 {
        let inside = |at: u64| at <= until_ms && at + length_ms > until_ms;
        self.0.iter().filter(|(at, _)| inside(*at)).map(|(_, cost)| u64::from(*cost)).sum()
    }
}

fn traffic() -> impl Strategy<Value = Vec<(u64, u32)>> {
    // Gaps of nothing, of a few milliseconds, and of around a window.
    let gap = prop_oneof![Just(0_u64), 1_u64..50, 200_u64..2_500];
    proptest::collection::vec((gap, 1_u32..6), 1..300).prop_map(|gaps| {
        gaps.into_iter()
            .scan(0, |at, (gap, cost)| {
                *at += gap;
                Some((*at, cost))
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn sliding_keeps_its_bounds(calls in traffic(), limit in 1_u32..30) {
        let (words, mut log, limit_units) = (words(), Log::default(), u64::from(limit));
        let meter = Meter { window: window(limit, 1, Algorithm::Sliding), words: &words };
        for (at, cost) in calls {
            let (decision, _) = meter.take(tick(at), cost);
            if decision.is_admitted() {
                log.0.push((at, cost));
            } else {
                prop_assert!(log.spent(at, 2_000) + u64::from(cost) > limit_units, "refused without need at {at}");
            }
            let in_fixed_window: u64 =
                log.0.iter().filter(|(other, _)| other / 1_000 == at / 1_000).map(|(_, cost)| u64::from(*cost)).sum();
            prop_assert!(in_fixed_window <= limit_units);
            prop_assert!(log.spent(at, 1_000) < 2 * limit_units);
        }
    }

    #[test]
    fn gcra_keeps_its_bounds(calls in traffic(), limit in 1_u32..30) {
        let (words, mut log, limit_units) = (words(), Log::default(), u64::from(limit));
        let meter = Meter { window: window(limit, 1, Algorithm::Smooth), words: &words };
        for (at, cost) in calls {
            let (decision, _) = meter.take(tick(at), cost);
            if decision.is_admitted() {
                log.0.push((at, cost));
            } else {
                // A millisecond more than the window: the emission interval is rounded up.
                prop_assert!(
                    log.spent(at, 1_001) + u64::from(cost) > limit_units,
                    "refused without need at {at}"
                );
            }
            for (begin, _) in &log.0 {
                let spent: u64 = log.0.iter().filter(|(other, _)| other >= begin).map(|(_, cost)| u64::from(*cost)).sum();
                prop_assert!(spent * 1_000 <= limit_units * 1_000 + (at - begin) * limit_units);
            }
        }
    }

    #[test]
    fn a_refused_call_is_admitted_after_the_time_it_was_told(calls in traffic(), limit in 1_u32..30, smooth: bool) {
        let algorithm = if smooth { Algorithm::Smooth } else { Algorithm::Sliding };
        let words = words();
        let meter = Meter { window: window(limit, 1, algorithm), words: &words };
        for (at, cost) in calls {
            if let (Decision::Refused { retry_ms, .. }, _) = meter.take(tick(at), cost) {
                if cost > limit {
                    prop_assert_eq!(retry_ms, u64::MAX);
                } else {
                    prop_assert!(meter.check(tick(at + retry_ms), cost).is_admitted(), "at {} + {}", at, retry_ms);
                    prop_assert!(retry_ms == 0 || !meter.check(tick(at + retry_ms - 1), cost).is_admitted());
                }
            }
        }
    }

    #[test]
    fn several_windows_are_all_or_nothing(calls in traffic(), limits in (1_u32..20, 1_u32..20, 1_u32..40)) {
        let words = [words(), words(), words()];
        let definitions = [
            window(limits.0, 1, Algorithm::Sliding),
            window(limits.1, 1, Algorithm::Smooth),
            window(limits.2, 10, Algorithm::Sliding),
        ];
        let meters: Vec<Meter<'_>> = definitions.iter().zip(&words).map(|(window, words)| Meter { window: *window, words }).collect();
        for (at, cost) in calls {
            let before: Vec<u64> = words.iter().flatten().map(|word| word.load(Relaxed)).collect();
            let expected = meters.iter().all(|meter| meter.check(tick(at), cost).is_admitted());
            let mut reported = 0;
            let admitted = take_all(&meters, tick(at), cost, |position, _| { assert_eq!(position, reported); reported += 1; });
            prop_assert_eq!(admitted, expected);
            prop_assert_eq!(reported, 3);
            if !admitted {
                let after: Vec<u64> = words.iter().flatten().map(|word| word.load(Relaxed)).collect();
                prop_assert_eq!(before, after, "a refused call spends nothing");
            }
        }
    }
}

#[test]
fn remaining_counts_down_and_cost_zero_only_looks() {
    for algorithm in [Algorithm::Sliding, Algorithm::Smooth] {
        let words = words();
        let meter = Meter { window: window(3, 60, algorithm), words: &words };
        let remaining = |cost| match meter.take(tick(0), cost).0 {
            Decision::Admitted { remaining, .. } | Decision::Refused { remaining, .. } => remaining,
        };
        assert_eq!([remaining(0), remaining(1), remaining(0), remaining(2), remaining(0)], [3, 2, 2, 0, 0]);
        assert!(!meter.take(tick(0), 1).0.is_admitted());
        assert!(meter.take(tick(0), 0).0.is_admitted(), "looking is always allowed");
    }
}

#[test]
fn the_largest_limit_and_longest_window_do_not_overflow() {
    for algorithm in [Algorithm::Sliding, Algorithm::Smooth] {
        let words = words();
        let meter = Meter { window: window(4_000_000_000, 366 * 86_400, algorithm), words: &words };
        for _ in 0..4_000 {
            assert!(meter.take(tick(5), 1_000_000).0.is_admitted());
        }
        assert!(!meter.take(tick(5), 1).0.is_admitted());
    }
}

#[test]
fn remains_of_another_definition_do_not_block() {
    let words = words();
    let old = Meter { window: window(1, 1, Algorithm::Sliding), words: &words };
    assert!(old.take(tick(0), 1).0.is_admitted());
    for definition in [
        window(1, 86_400, Algorithm::Sliding),
        window(1, 60, Algorithm::Smooth),
        window(1, 60, Algorithm::Sliding),
    ] {
        let meter = Meter { window: definition, words: &words };
        assert!(meter.take(tick(0), 1).0.is_admitted(), "{definition:?}");
        assert!(!meter.take(tick(0), 1).0.is_admitted(), "{definition:?}");
    }
}

#[test]
fn a_call_with_an_older_clock_is_judged_in_the_later_window() {
    let words = words();
    let meter = Meter { window: window(2, 1, Algorithm::Sliding), words: &words };
    assert!(meter.take(tick(1_000), 1).0.is_admitted());
    assert!(meter.take(tick(900), 1).0.is_admitted());
    assert!(!meter.take(tick(999), 1).0.is_admitted());
}

#[test]
fn threads_together_never_exceed_the_limit() {
    for algorithm in [Algorithm::Sliding, Algorithm::Smooth] {
        let words = Arc::new([words(), words()]);
        let admitted = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (words, admitted) = (Arc::clone(&words), Arc::clone(&admitted));
                thread::spawn(move || {
                    let meters = [
                        Meter { window: window(5_000, 60, algorithm), words: &words[0] },
                        Meter { window: window(3_000, 60, algorithm), words: &words[1] },
                    ];
                    for _ in 0..2_000 {
                        admitted.fetch_add(u32::from(take_all(&meters, tick(0), 1, |_, _| ())), Relaxed);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(admitted.load(Relaxed), 3_000);
    }
}

#[test]
fn rolling_over_loses_nothing_between_threads() {
    let words = Arc::new(words());
    let spent = Arc::new([const { AtomicU32::new(0) }; 64]);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (words, spent) = (Arc::clone(&words), Arc::clone(&spent));
            thread::spawn(move || {
                let meter = Meter { window: window(100, 1, Algorithm::Sliding), words: &words };
                for at in (0..60_000).step_by(2) {
                    if let (Decision::Admitted { .. }, Taken::Sliding(_)) = meter.take(tick(at), 1) {
                        spent[usize::try_from(at / 1_000).unwrap()].fetch_add(1, Relaxed);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // Threads drift apart, and a late one is judged in the window of the fastest: totals are what is bounded.
    let total: u32 = spent.iter().map(|window| window.load(Relaxed)).sum();
    assert!(total <= 60 * 100, "{total}");
}
