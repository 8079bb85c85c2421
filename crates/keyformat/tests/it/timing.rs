//! Prints what things cost:
//! `cargo test --release -p keywright-keyformat --test it timing -- --ignored --nocapture --test-threads 1`

use std::hint::black_box;
use std::time::Instant;

use keywright_keyformat::{IssuerTag, KeyKind, ScanOptions, Secret, parse, redact, scan};

use crate::random::XorShift;

const KEYS: usize = 1024;
const ROUNDS: usize = 2000;

#[test]
#[ignore = "a measurement"]
fn parsing() {
    let acme = IssuerTag::parse("acme").unwrap();
    for (name, tag) in [("untagged", None), ("tagged", Some(&acme))] {
        let keys = keys(tag);
        let ns = best_ns(|key| usize::from(parse(black_box(key), tag).is_ok()), &keys);
        println!("parse, {name}, {} bytes: {ns:.1} ns", keys[0].len());
    }
    let keys = keys(None);
    let crc = best_ns(|key| crc32fast::hash(&black_box(key)[..44]) as usize, &keys);
    println!("crc32fast alone, 44 bytes: {crc:.1} ns");
    let damaged: Vec<_> = keys.iter().map(|key| [&key[..49], b"!"].concat()).collect();
    let refused = best_ns(|key| usize::from(parse(black_box(key), None).is_ok()), &damaged);
    println!("refuse with a reason: {refused:.1} ns");
}

#[test]
#[ignore = "a measurement"]
fn scanning() {
    let source = include_str!("scanning.rs").replace("sk_", "s_");
    let mut text = source.repeat(16 << 20 >> source.len().ilog2());
    text.push_str(str::from_utf8(&keys(None)[0]).expect("a key is ASCII"));
    let hostile = "ok_".repeat(4 << 20);
    for (name, text) in [("source code", &text), ("ok_ok_ok_…", &hostile)] {
        let scanned =
            gigabytes_per_second(text.len(), || scan(text.as_bytes(), ScanOptions::default()).count());
        let redacted = gigabytes_per_second(text.len(), || redact(text).len());
        println!("{name}: scan {scanned:.2} GB/s, redact {redacted:.2} GB/s");
    }
}

fn keys(tag: Option<&IssuerTag>) -> Vec<Vec<u8>> {
    let mut random = XorShift::new(7);
    let mut key =
        || Secret::generate(KeyKind::Live, tag, |bytes| random.fill(bytes)).expose().as_bytes().to_vec();
    (0..KEYS).map(|_| key()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn best_ns(run: impl Fn(&[u8]) -> usize, keys: &[Vec<u8>]) -> f64 {
    let round = |_| {
        let start = Instant::now();
        black_box(keys.iter().map(|key| run(key)).sum::<usize>());
        start.elapsed().as_nanos() as f64 / keys.len() as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn gigabytes_per_second(bytes: usize, run: impl Fn() -> usize) -> f64 {
    let round = |_| {
        let start = Instant::now();
        black_box(run());
        bytes as f64 / start.elapsed().as_nanos() as f64
    };
    (0..7).map(round).fold(0.0, f64::max)
}
