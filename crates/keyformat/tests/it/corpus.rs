//! Replays the fuzz corpus and 20,000 fixed mutations of it, without a fuzzer.

use std::path::Path;

use crate::random::XorShift;
use crate::targets;

const MUTATIONS: usize = 20_000;
const MAX_LENGTH: usize = 600;

/// What mutations put in: the pieces that matter to the format.
const DICTIONARY: [&[u8]; 14] = [
    b"sk_live_",
    b"sk_test_",
    b"ok_",
    b"acme_",
    b"book_",
    b"_",
    b"\"",
    b" ",
    b"\\n",
    b"%3D",
    b"\xFF",
    "…".as_bytes(),
    b"Bearer ",
    b"sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH",
];

#[test]
fn parse() {
    replay("parse", targets::parse);
}

#[test]
fn scan() {
    replay("scan", targets::scan);
}

#[test]
fn mask() {
    replay("mask", targets::mask);
}

fn replay(target: &str, run: fn(&[u8])) {
    let seeds = seeds(target);
    assert!(seeds.len() >= 24, "only {} seeds in the corpus of {target}", seeds.len());
    for seed in &seeds {
        run(seed);
    }
    let mut random = XorShift::new(0x6B65_7977_7269_6768);
    for _ in 0..MUTATIONS {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut input, &seeds, &mut random);
        }
        input.truncate(MAX_LENGTH);
        run(&input);
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a readable seed")).collect()
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut XorShift) {
    let at = random.below(input.len() + 1);
    let until = (at + random.below(12)).min(input.len());
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = b"0Zz_ \n\"k"[random.below(8)],
        2 => drop(input.drain(at..until)),
        3 => {
            let piece = input[at..until].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, piece);
        }
        4 => {
            let piece = DICTIONARY[random.below(DICTIONARY.len())];
            input.splice(at..at, piece.iter().copied());
        }
        5 if at < input.len() => {
            let other = random.below(input.len());
            input.swap(at, other);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
