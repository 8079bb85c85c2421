//! From nothing to ready: the server's start with many keys on disk.

use std::{hint::black_box, path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Args;
use keywright_store_sqlite::DATABASE_FILE;
use rusqlite::{Connection, OpenFlags};

use crate::{
    installation::Installation,
    processes,
    stats::{median, median_ratio, range},
};

/// What a start is to take at most.
const GOAL_SECONDS: f64 = 1.5;

/// Options of the benchmark of starts.
#[derive(Args)]
pub(crate) struct Options {
    /// The keywright executable.
    #[arg(long, default_value = "target/release/keywright")]
    keywright: String,
    /// Where the installation is made, and kept for the next run; the system's temporary directory unless given.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Keys on disk.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u32,
    /// Rounds; each starts the server once and reads the rows once.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Runs the benchmark.
///
/// # Errors
/// When the installation cannot be made or served.
pub(crate) fn run(options: &Options) -> Result<()> {
    let parent = options.data.clone().unwrap_or_else(std::env::temp_dir);
    let installation = Installation::with_keys(&parent, &options.keywright, options.keys)?;
    let (mut starts, mut selects) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let begin = Instant::now();
        let server = processes::keywright(&options.keywright, &installation.data(), 2, None)?;
        starts.push(begin.elapsed().as_secs_f64());
        drop(server);
        let begin = Instant::now();
        let rows = read_rows(&installation)?;
        selects.push(begin.elapsed().as_secs_f64());
        eprintln!("round {round} of {}: {rows} rows", options.rounds);
    }
    println!("{} keys on disk, files in the page cache, seconds", options.keys);
    println!("{:52} {:>8} {:>15} {:>10}", "", "median", "(min-max)", "vs SELECT");
    for (label, values) in
        [("rusqlite: SELECT of the same rows, one thread", &selects), ("keywright: spawn to ready", &starts)]
    {
        let (low, high) = range(values);
        println!(
            "{label:52} {:>8.3} {:>15} {:>10.2}",
            median(values),
            format!("({low:.2}-{high:.2})"),
            median_ratio(values, &selects)
        );
    }
    let verdict = if median(&starts) <= GOAL_SECONDS { "met" } else { "not met" };
    println!("goal: at most {GOAL_SECONDS} s: {verdict}");
    Ok(())
}

/// Reads what verification needs of every key, and does nothing with it.
fn read_rows(installation: &Installation) -> Result<u64> {
    let path = installation.data().join(DATABASE_FILE);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut count = 0;
    for statement in [
        "SELECT number, id, workspace, environment, permissions, creator_kind, creator_id, membership, expires_at, \
         disabled_at, revoked_at, limits, networks, external_id, metadata FROM keys WHERE deleted_at IS NULL \
         ORDER BY number",
        "SELECT key, ordinal, id, locator, pepper, digest, expires_at, retired_at FROM secrets ORDER BY key, ordinal",
    ] {
        let mut statement = connection.prepare(statement)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                black_box(row.get_ref(column)?);
            }
            count += 1;
        }
    }
    Ok(count)
}
