//! No file of the repository contains a key that could be somebody's.

use keywright_keyformat::{Confidence, Found, ScanOptions, scan};

use crate::tree::{bytes, files};

/// Seeds for fuzzing: made from counters, never issued (`fuzz/corpus/README.md`).
const SEEDS: &str = "fuzz/corpus/";

/// Locators of the keys in examples and tests, made from bytes that count. None was ever issued by anybody. The texts are
/// in `crates/keyformat/tests/it/vectors.rs`.
const COUNTED: &[&str] = &["07ELSZgnu18F", "5GRcny9KVgr2", "9MZmzCPcp2FS"];

#[test]
fn no_file_contains_a_key() {
    let mut keys = Vec::new();
    for name in files().iter().filter(|name| !name.starts_with(SEEDS)) {
        for found in confirmed(&bytes(name)) {
            keys.push(format!(
                "{name}, byte {}: {} {}",
                found.offset,
                found.kind.prefix(),
                found.locator.as_str()
            ));
        }
    }
    assert!(
        keys.is_empty(),
        "well-formed keys (kind and locator):\n{}\nIf one was ever issued, revoke it now; it stays in the history. \
         In tests and examples use the keys of crates/keyformat/tests/it/vectors.rs.",
        keys.join("\n")
    );
}

#[test]
fn a_key_would_be_found() {
    // In two pieces, so that the test above does not find it.
    let text = concat!("key: sk_live_", "07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH");
    assert_eq!(scan(text.as_bytes(), ScanOptions::default()).count(), 1);
    assert_eq!(confirmed(text.as_bytes()).len(), 0, "it is one of the known examples");
}

fn confirmed(text: &[u8]) -> Vec<Found> {
    scan(text, ScanOptions::default())
        .filter(|found| found.confidence == Confidence::Confirmed)
        .filter(|found| !COUNTED.contains(&found.locator.as_str()))
        .collect()
}
