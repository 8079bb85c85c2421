//! Durable creations per second through the writer, next to the same rows committed one by one by SQLite alone.
//!
//! `cargo run --release -p keywright-store-sqlite --example group_commit [KEYS] [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "a measurement for people")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs the time")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails need not go on")]

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use keywright_domain::{command::Command, ids::KeyId};
use keywright_store_sqlite::{DATABASE_FILE, Options, SqliteStore};
use keywright_testkit::{Installation, Samples};
use rusqlite::{Connection, params};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let keys: usize = arguments.next().map_or(Ok(60_000), |text| text.parse())?;
    let parent = arguments.next();
    let directory = parent.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let mut one_by_one = 0.0;
    for callers in [1, 64, 256] {
        let place = directory.path().join(format!("callers-{callers}"));
        let per_second =
            runtime.block_on(create(&place, callers, if callers == 1 { keys / 20 } else { keys }));
        if callers == 1 {
            one_by_one = rows_one_by_one(&place, keys / 20)?;
            println!("same rows, one by one:  {one_by_one:>9.0} creations/s");
        }
        let ratio = per_second / one_by_one;
        println!("{callers:>3} concurrent callers: {per_second:>9.0} creations/s, {ratio:.1} times as many");
    }
    Ok(())
}

/// Creations per second with so many callers.
async fn create(place: &Path, callers: usize, keys: usize) -> f64 {
    let store = Arc::new(SqliteStore::open(place, &Options::default(), keywright_testkit::vault()).unwrap());
    let installation = Arc::new(Installation::set_up(store).await);
    let mut prepared: Vec<Vec<Command>> = (0..callers).map(|_| Vec::new()).collect();
    for number in 0..keys {
        let mut new = installation.samples.new_key("production web application");
        // Ids begin with the time, as they do when people create keys one after the other.
        let created_at = Samples::NOW.plus_ms(i64::try_from(number / 10).unwrap());
        new.id = KeyId::generate(created_at, installation.samples.entropy());
        new.metadata = format!(r#"{{"customer":"{number:08}","team":"payments","region":"eu-west"}}"#);
        prepared[number % callers].push(Command::CreateKey(Box::new(new)));
    }
    let start = Instant::now();
    let mut tasks = Vec::new();
    for commands in prepared {
        let installation = Arc::clone(&installation);
        tasks.push(tokio::spawn(async move {
            for command in commands {
                installation.on_keys(command).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let elapsed_seconds = start.elapsed().as_secs_f64();
    let busy = writer_seconds() / to_f64(keys) * 1_000_000.0;
    println!("{callers:>3} concurrent callers: the writer was busy for {busy:.1} µs per creation");
    to_f64(keys) / elapsed_seconds
}

/// Processor time of the writer's thread so far: what it could do with a core of its own and a disk that costs nothing.
fn writer_seconds() -> f64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.trim() == "store-writer" {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap();
            // Fields 14 and 15 of proc(5), counted after the name in parentheses.
            let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
            ticks += fields.map(|field| field.parse::<usize>().unwrap()).sum::<usize>();
        }
    }
    to_f64(ticks) / 100.0
}

/// The rows of a creation, read back from what the store wrote, in a transaction each.
fn rows_one_by_one(place: &Path, keys: usize) -> Result<f64, rusqlite::Error> {
    let connection = Connection::open(place.join(DATABASE_FILE))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", Options::default().checkpoint_pages)?;
    let start = Instant::now();
    for number in 1..=keys {
        let shift = i64::try_from(keys + 10).unwrap();
        let number = i64::try_from(number).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (statement, unique) in COPIES {
            let mut statement = connection.prepare_cached(statement)?;
            if *unique {
                statement.execute(params![number, shift, format!("{number:012}")])?;
            } else {
                statement.execute(params![number, shift])?;
            }
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(to_f64(keys) / start.elapsed().as_secs_f64())
}

const COPIES: &[(&str, bool)] = &[
    (
        "INSERT INTO keys SELECT number + ?2, CAST(?3 AS BLOB), workspace, environment, permissions, creator_kind, \
         creator_id, membership, created_at, expires_at, disabled_at, revoked_at, deleted_at, limits, networks, \
         external_id, metadata, name, purpose, revoked_reason FROM keys WHERE number = ?1",
        true,
    ),
    (
        "INSERT INTO secrets SELECT key + ?2, ordinal, id, ?3, pepper, digest, created_at, expires_at, retired_at, hint \
         FROM secrets WHERE key = ?1",
        true,
    ),
    (
        "INSERT INTO changes SELECT sequence + ?2, kind, restricting, number, name FROM changes WHERE sequence = ?1",
        false,
    ),
    (
        "INSERT INTO audit SELECT sequence + ?2, hash, workspace, action, target, body FROM audit WHERE sequence = ?1",
        false,
    ),
    (
        "INSERT INTO audit_personal SELECT sequence + ?2, at, key_kind, key_owner, sealed FROM audit_personal \
         WHERE sequence = ?1",
        false,
    ),
];

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn to_f64(count: usize) -> f64 {
    count as f64
}
