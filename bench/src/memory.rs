//! Resident memory per key: of an engine in this process, and of the whole server.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{
    fill::{Filled, metadata},
    installation::Installation,
    processes::{self, Server},
    random::Random,
};

/// What a key is to take at most.
const GOAL_BYTES: f64 = 250.0;
/// Requests sent before their answers are read.
const PIPELINE: usize = 64;

/// Options of the benchmark of memory.
#[derive(Args)]
pub(crate) struct Options {
    /// The keywright executable.
    #[arg(long, default_value = "target/release/keywright")]
    keywright: String,
    /// Where the installation is made, and kept for the next run; the system's temporary directory unless given.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Keys in memory.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u32,
    /// Keys that are verified, picked at random.
    #[arg(long, default_value_t = 200_000)]
    verified: usize,
}

/// Runs the benchmark.
///
/// # Errors
/// When the engine cannot be filled, or the installation cannot be made or served.
pub(crate) fn run(options: &Options) -> Result<()> {
    let text_bytes = metadata(1).len();
    println!("{} keys with {text_bytes} bytes of metadata each, resident bytes per key", options.keys);
    // First, on a heap that holds nothing yet to be used again.
    let engine = engine(options.keys)?;
    show(options, "keywright: engine in process, its spool included", engine);
    show(options, "peer: HashMap of SHA-256 in hex to the metadata alone", hash_map(options.keys)?);
    let parent = options.data.clone().unwrap_or_else(std::env::temp_dir);
    let installation = Installation::with_keys(&parent, &options.keywright, options.keys)?;
    let directory = tempfile::tempdir_in(&parent)?;
    let empty = directory.path().join("empty");
    // The first start also hashes a password, which takes memory of its own.
    drop(processes::keywright(&options.keywright, &empty, 2, None)?);
    let without_keys = processes::keywright(&options.keywright, &empty, 2, None)?.resident_bytes();
    // A copy: counting the verifications must not change the installation that other runs start from.
    let data = directory.path().join("data");
    copy(&installation.data(), &data)?;
    let server = processes::keywright(&options.keywright, &data, 2, None)?;
    let started = server.resident_bytes();
    verify_some(&server, &installation.secrets(), options.verified)?;
    let used = server.resident_bytes();
    show(options, "keywright dev after start", started);
    show(options, "  without what it takes with no keys", started.saturating_sub(without_keys));
    let verified = format!("keywright dev after verifying {} of them", options.verified);
    show(options, &verified, used);
    println!("keywright dev with no keys: {} MiB", without_keys >> 20);
    Ok(())
}

fn show(options: &Options, label: &str, bytes: u64) {
    let per_key = bytes_per_key(bytes, options.keys);
    let verdict = match label.strip_prefix("peer") {
        Some(_) => String::new(),
        None if per_key <= GOAL_BYTES => format!("goal {GOAL_BYTES}: met"),
        None => format!("goal {GOAL_BYTES}: not met"),
    };
    println!("{label:56} {per_key:>8.1}  {verdict}");
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn bytes_per_key(bytes: u64, keys: u32) -> f64 {
    bytes as f64 / f64::from(keys)
}

fn own_resident_bytes() -> u64 {
    processes::resident_bytes_of(std::process::id())
}

/// The least that a hand-written cache keeps: the SHA-256 of the key in hex, and the metadata.
fn hash_map(keys: u32) -> Result<u64> {
    let before = own_resident_bytes();
    let map: std::collections::HashMap<String, String> =
        (1..=keys).map(|number| (format!("{number:064x}"), metadata(number))).collect();
    let used = own_resident_bytes().saturating_sub(before);
    ensure!(map.len() == usize::try_from(keys)?, "all are different");
    Ok(used)
}

fn engine(keys: u32) -> Result<u64> {
    let directory = tempfile::tempdir()?;
    let before = own_resident_bytes();
    let filled = Filled::new(directory.path(), keys)?;
    let texts = std::mem::size_of_val(filled.texts.as_slice());
    let used = own_resident_bytes().saturating_sub(before).saturating_sub(u64::try_from(texts)?);
    eprintln!("the engine took {:.2} s to take in the keys", filled.loading_seconds);
    Ok(used)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // `cp -a` keeps modes, which the server checks.
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp failed");
    Ok(())
}

/// Sends check requests over one connection, some at a time.
fn verify_some(server: &Server, secrets: &Path, count: usize) -> Result<()> {
    let text = fs::read_to_string(secrets)?;
    let secrets: Vec<&str> = text.lines().collect();
    let mut random = Random::new(11);
    let address = server.url.strip_prefix("http://").context("plain HTTP")?;
    let mut stream = TcpStream::connect(address)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut left = count;
    while left > 0 {
        let batch = left.min(PIPELINE);
        let mut requests = String::new();
        for _ in 0..batch {
            let secret = secrets[random.below(secrets.len())];
            requests.push_str("GET /v1/check HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ");
            requests.push_str(secret);
            requests.push_str("\r\n\r\n");
        }
        stream.write_all(requests.as_bytes())?;
        for _ in 0..batch {
            ensure!(read_head(&mut answers)?.starts_with(b"HTTP/1.1 204"), "a key was refused");
        }
        left -= batch;
    }
    Ok(())
}

/// An answer without a body.
fn read_head(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut line = Vec::new();
        ensure!(stream.take(16_384).read_until(b'\n', &mut line)? > 0, "the connection was closed");
        head.append(&mut line);
    }
    Ok(head)
}
