//! A verification in process: one thread, keys picked at random, everything included.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::Args;
use hmac::{Hmac, KeyInit as _, Mac as _};
use keywright_domain::{
    permission::Builtin,
    time::{Clock as _, Timestamp},
};
use keywright_engine::{SpoolOptions, SystemClock, VerifyRequest};
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};

use crate::{
    fill::{Filled, PEPPER, Text},
    floor::Floor,
    random::Random,
    stats::{median, median_ratio, range},
};

/// What a verification is to cost at most.
const GOAL_NS: f64 = 200.0;

/// Options of the benchmark of verifications in process.
#[derive(Args)]
pub(crate) struct Options {
    /// Keys in memory.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u32,
    /// Rounds; each runs every contestant once, one after the other.
    #[arg(long, default_value_t = 400)]
    rounds: usize,
    /// Calls of each contestant per round.
    #[arg(long, default_value_t = 5_000)]
    calls: usize,
}

/// What a hand-written cache keeps of a key.
struct CachedKey {
    expires_at: Option<Timestamp>,
    is_disabled: bool,
    permissions: Vec<String>,
    _workspace: String,
    _metadata: String,
}

/// A hand-written cache: keys by the SHA-256 of their text, in hex, behind a lock. It limits, counts and writes nothing.
type HandWritten = RwLock<HashMap<String, CachedKey>>;

/// Runs the benchmark.
///
/// # Errors
/// When the engine cannot be filled, or a key is refused.
pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = tempfile::tempdir()?;
    eprintln!("making {} keys", options.keys);
    // As large as the server's is after a second of such use.
    let spool = SpoolOptions { entries_min: 1 << 20, ..SpoolOptions::new([1; 16], 42) };
    let filled = Filled::with_spool(directory.path(), spool, options.keys)?;
    let cache = hand_written(&filled.texts);
    let mut random = Random::new(7);
    // In the order of their use, as presented keys arrive: what is random is where their records are.
    let presented: Vec<Text> =
        (0..options.calls * options.rounds).map(|_| filled.texts[random.below(filled.texts.len())]).collect();
    let keyed = Hmac::<Sha256>::new_from_slice(&PEPPER)?;
    let mut floor = Floor::new(options.keys)?;
    let mut results = [(); 4].map(|()| Vec::with_capacity(options.rounds));
    let (mut accepted, mut found) = (0, 0);
    // The server prepares segments of the spool in the background, too.
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                filled.spool.maintain().expect("a spare segment");
                thread::sleep(Duration::from_millis(50));
            }
        });
        for round in presented.chunks(options.calls) {
            results[0].push(ns_per_call(round, |text| {
                black_box(keyed.clone().chain_update(text).finalize());
            }));
            results[1].push(ns_per_call(round, |text| found += usize::from(look_up(&cache, text))));
            results[2].push(ns_per_call(round, |text| {
                let request = VerifyRequest { permissions: Builtin::DEFAULT, ..VerifyRequest::new(text) };
                accepted += usize::from(filled.engine.verify(&request).is_valid());
            }));
            results[3].push(ns_per_call(round, |text| {
                black_box(floor.touch(text));
            }));
        }
        stop.store(true, Ordering::Relaxed);
    });
    ensure!(accepted == presented.len() && found == presented.len(), "a key was not accepted");
    print(options, &results);
    Ok(())
}

fn print(options: &Options, results: &[Vec<f64>; 4]) {
    println!("{} keys, picked at random, one thread, nanoseconds per call", options.keys);
    println!("{:52} {:>8} {:>8} {:>12} {:>14}", "", "best", "median", "vs HMAC", "vs hand-written");
    let labels = [
        "HMAC-SHA-256 alone (crate hmac, keyed state cloned)",
        "hand-written: RwLock<HashMap<String>> by SHA-256",
        "keywright: a verification, everything included",
        "this machine: index, record, two blocks of SHA-256",
    ];
    for (label, result) in labels.iter().zip(results) {
        println!(
            "{label:52} {:>8.1} {:>8.1} {:>12.2} {:>14.2}",
            range(result).0,
            median(result),
            median_ratio(result, &results[0]),
            median_ratio(result, &results[1]),
        );
    }
    let (best, hmac) = (range(&results[2]).0, range(&results[0]).0);
    let verdict = if best <= GOAL_NS { "met" } else { "not met" };
    println!(
        "goal: at most {GOAL_NS:.0} ns: {verdict} ({best:.0} ns, {:.2} times the HMAC alone, best of each)",
        best / hmac
    );
    let floor = range(&results[3]).0;
    println!(
        "by itself, reading a key's record and computing its digest takes {floor:.0} ns here, without prefetching"
    );
}

fn hand_written(texts: &[Text]) -> HandWritten {
    let cached = |number| CachedKey {
        expires_at: None,
        is_disabled: false,
        permissions: vec![
            "prompts:read".to_owned(),
            "prompts:list".to_owned(),
            "context:download".to_owned(),
        ],
        _workspace: "acme".to_owned(),
        _metadata: crate::fill::metadata(number),
    };
    RwLock::new(
        (1..).zip(texts).map(|(number, text)| (hex::encode(Sha256::digest(text)), cached(number))).collect(),
    )
}

fn look_up(cache: &HandWritten, text: &Text) -> bool {
    let now = SystemClock.now();
    let keys = cache.read();
    keys.get(&hex::encode(Sha256::digest(text))).is_some_and(|key| {
        !key.is_disabled
            && key.expires_at.is_none_or(|end| now < end)
            && key.permissions.iter().any(|permission| permission == "prompts:read")
    })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn ns_per_call(texts: &[Text], mut call: impl FnMut(&Text)) -> f64 {
    let begin_ns = SystemClock.boot_ns();
    texts.iter().for_each(&mut call);
    (SystemClock.boot_ns() - begin_ns) as f64 / texts.len() as f64
}
