//! The spool's life: seal, flush, confirm, adopt, and what happens at the bound.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use keywright_domain::{
    key::KeyNumber,
    time::Timestamp,
    usage::{AgentClass, UsageBatch},
    verdict::Code,
};
use keywright_engine::{RouteId, Spool, SpoolError, SpoolOptions, UsageEvent};

fn options() -> SpoolOptions {
    SpoolOptions { entries_min: 64, entries_max: 256, ..SpoolOptions::new([4; 16], 11) }
}

fn event(key: u32, route: RouteId) -> UsageEvent {
    UsageEvent {
        key: KeyNumber(key),
        secret_ordinal: 1,
        address: Some("203.0.113.7".parse().unwrap()),
        route,
        code: Code::Valid,
        agent: AgentClass::Library,
        at: Timestamp::from_unix_ms(1_800_000_000_000),
    }
}

/// Flushes everything that is sealed, as the store would: a batch that was seen before is ignored.
fn flush(spool: &Spool, seen: &mut HashMap<([u8; 16], u64), UsageBatch>) -> u64 {
    let mut unattributed = 0;
    while let Some(sealed) = spool.oldest_sealed() {
        for batch in spool.batches(&sealed) {
            let known = seen.insert((batch.incarnation, batch.batch), batch.clone());
            assert!(known.is_none_or(|known| known == batch), "a batch is the same each time");
        }
        unattributed += sealed.unattributed().0;
        spool.confirm(&sealed, 0).unwrap();
    }
    unattributed
}

fn counts(seen: &HashMap<([u8; 16], u64), UsageBatch>) -> (u64, u64) {
    let rows = || seen.values().flat_map(|batch| &batch.rows);
    (rows().map(|row| row.count).sum(), rows().map(|row| row.cost).sum())
}

#[test]
fn what_is_recorded_is_flushed_once() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), options()).unwrap();
    assert!(!spool.seal().unwrap(), "nothing to seal");
    let route = spool.route("POST /v1/chat");
    spool.record(&event(1, route), 3);
    spool.record(&event(1, route), 0);
    assert!(spool.seal().unwrap());
    let sealed = spool.oldest_sealed().unwrap();
    let batch = spool.batches(&sealed).next().unwrap();
    assert_eq!(batch.incarnation, [4; 16]);
    assert_eq!((batch.rows.len(), batch.rows[0].count, batch.rows[0].cost), (1, 2, 3));
    assert_eq!((batch.rows[0].route.as_str(), batch.rows[0].minute), ("POST /v1/chat", 30_000_000));
    assert_eq!(spool.gauges().sealed_segments, 1);
    spool.confirm(&sealed, 0).unwrap();
    spool.confirm(&sealed, 0).unwrap();
    assert_eq!((spool.gauges().sealed_segments, spool.oldest_sealed().is_none()), (0, true));
}

#[test]
fn the_next_process_adopts_what_was_left() {
    let directory = tempfile::tempdir().unwrap();
    {
        let spool = Spool::open(directory.path(), options()).unwrap();
        spool.record(&event(1, spool.route("a")), 1);
        spool.seal().unwrap();
        spool.record(&event(2, spool.route("b")), 1);
        assert!(matches!(Spool::open(directory.path(), options()), Err(SpoolError::InUse(_))));
    }
    std::fs::write(directory.path().join("00000000000000000099.usage"), [7; 9_000]).unwrap();
    std::fs::write(directory.path().join("00000000000000000098.new"), [7; 9]).unwrap();
    let next = SpoolOptions { incarnation: [5; 16], ..options() };
    let spool = Spool::open(directory.path(), next).unwrap();
    assert_eq!(spool.gauges().damaged_files, 1);
    spool.record(&event(3, spool.route("a")), 1);
    spool.seal().unwrap();
    let mut seen = HashMap::new();
    flush(&spool, &mut seen);
    let mut rows: Vec<_> = seen
        .values()
        .flat_map(|batch| batch.rows.iter().map(|row| (row.key.0, row.route.clone(), batch.incarnation[0])))
        .collect();
    rows.sort();
    assert_eq!(rows, [(1, "a".to_owned(), 4), (2, "b".to_owned(), 4), (3, "a".to_owned(), 5)]);
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().any(|name| name.to_string_lossy().ends_with(".damaged")), "{left:?}");
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
}

#[test]
fn at_the_bound_detail_goes_first_and_nothing_is_dropped_silently() {
    let directory = tempfile::tempdir().unwrap();
    // Room for two segments of 64 entries.
    let spool = Spool::open(directory.path(), SpoolOptions { bytes_max: 20_000, ..options() }).unwrap();
    spool.maintain().unwrap();
    for number in 0..1_000 {
        spool.record(&event(1, spool.route(&format!("r{}", number % 300))), 1);
    }
    for key in 0..500 {
        spool.record(&event(key, RouteId::NONE), 2);
    }
    let gauges = spool.gauges();
    assert!(gauges.folded > 0 && gauges.unattributed > 0 && gauges.bytes <= 20_000, "{gauges:?}");
    let mut seen = HashMap::new();
    let mut unattributed = flush(&spool, &mut seen);
    spool.seal().unwrap();
    unattributed += flush(&spool, &mut seen);
    assert_eq!(unattributed, gauges.unattributed);
    assert_eq!(counts(&seen).0 + unattributed, 1_500);
    assert!(
        seen.values()
            .flat_map(|batch| &batch.rows)
            .any(|row| row.route == "(other)" && row.address.is_none())
    );
    spool.maintain().unwrap();
    spool.record(&event(1, RouteId::NONE), 1);
    assert_eq!(spool.gauges().folded, gauges.folded, "room again");
}

#[test]
fn seals_wait_longer_while_flushing_is_slow() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), options()).unwrap();
    let second = 1_000_000_000;
    spool.record(&event(1, RouteId::NONE), 1);
    assert!(!spool.seal_if_due(second - 1).unwrap());
    assert!(spool.seal_if_due(second).unwrap());
    let sealed = spool.oldest_sealed().unwrap();
    spool.confirm(&sealed, second / 5).unwrap();
    spool.record(&event(1, RouteId::NONE), 1);
    assert!(!spool.seal_if_due(11 * second - 1).unwrap(), "a fifth of a second of flushing: ten seconds");
    assert!(spool.seal_if_due(11 * second).unwrap());
}

#[test]
fn threads_that_count_while_segments_are_sealed_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Arc::new(Spool::open(directory.path(), options()).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let flusher = {
        let (spool, stop) = (Arc::clone(&spool), Arc::clone(&stop));
        thread::spawn(move || {
            let mut seen = HashMap::new();
            while !stop.load(SeqCst) {
                spool.maintain().unwrap();
                spool.seal().unwrap();
                assert_eq!(flush(&spool, &mut seen), 0);
            }
            spool.seal().unwrap();
            flush(&spool, &mut seen);
            assert!(spool.oldest_sealed().is_none());
            counts(&seen)
        })
    };
    let threads: Vec<_> = (0..3_u32)
        .map(|thread| {
            let spool = Arc::clone(&spool);
            thread::spawn(move || {
                (0..30_000).for_each(|step| spool.record(&event((step * 7 + thread) % 40, RouteId::NONE), 2));
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    stop.store(true, SeqCst);
    assert_eq!(flusher.join().unwrap(), (90_000, 180_000));
}
