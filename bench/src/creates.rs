//! Durable creations of keys over HTTP, next to the same rows committed one by one by SQLite.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use keywright_store_sqlite::DATABASE_FILE;
use rusqlite::{Connection, OpenFlags, params_from_iter, types::Value};

use crate::{
    processes::{self, Server},
    stats::{median, median_ratio, range},
    wrk::Load,
};

/// Concurrent clients, and how many times as many creations as one by one they are to reach.
const GOALS: [(u32, f64); 2] = [(64, 3.0), (256, 5.0)];

/// Options of the benchmark of creations.
#[derive(Args)]
pub(crate) struct Options {
    /// The keywright executable.
    #[arg(long, default_value = "target/release/keywright")]
    keywright: String,
    /// On whose disk; the system's temporary directory unless given.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Rounds; each measures SQLite and every number of clients once.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of load per number of clients and round.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Threads of the server that answer requests.
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// Runs the benchmark.
///
/// # Errors
/// When the server, SQLite or the load generator cannot be run, or a creation is refused.
pub(crate) fn run(options: &Options) -> Result<()> {
    let parent = options.data.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::tempdir_in(&parent)?;
    let data = directory.path().join("data");
    let server = processes::keywright(&options.keywright, &data, options.workers, None)?;
    // Rows to copy must be there first.
    load(&server, 64, 1, "warm")?;
    let mut peer = OneByOne::prepare(&data.join(DATABASE_FILE), &directory.path().join("peer.db"))?;
    let mut one_by_one = Vec::new();
    let mut results: Vec<Clients> = GOALS.iter().map(|(clients, _)| Clients::new(*clients)).collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        one_by_one.push(peer.commits_per_second(Duration::from_secs(options.seconds.into()))?);
        for clients in &mut results {
            let before = server.cpu_seconds();
            let measured =
                load(&server, clients.count, options.seconds, &format!("run-{round}-{}", clients.count))?;
            clients.per_second.push(measured.per_second);
            clients.p99_ms.push(measured.p99_ms);
            clients.cpu_us.push((server.cpu_seconds() - before) / measured.requests * 1e6);
        }
    }
    print(&one_by_one, &results);
    Ok(())
}

struct Clients {
    count: u32,
    per_second: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Clients {
    const fn new(count: u32) -> Self {
        Self { count, per_second: Vec::new(), p99_ms: Vec::new(), cpu_us: Vec::new() }
    }
}

fn load(server: &Server, connections: u32, seconds: u32, word: &str) -> Result<crate::wrk::Measured> {
    let management = server.ready["management_key"].as_str().context("no management_key")?.to_owned();
    let measured = Load {
        url: &format!("{}/v1/workspaces/acme/keys", server.url),
        script: "bench/wrk/create.lua",
        arguments: &[management, word.to_owned()],
        connections,
        seconds,
        core: None,
    }
    .run()?;
    ensure!(measured.refused == 0.0, "{} creations were refused", measured.refused);
    Ok(measured)
}

fn print(one_by_one: &[f64], results: &[Clients]) {
    println!("durable creations per second; a creation is five rows in one transaction, synchronous=FULL");
    println!(
        "{:44} {:>9} {:>15} {:>8} {:>8} {:>11}",
        "", "per s", "(min-max)", "p99 ms", "CPU µs", "vs SQLite"
    );
    let spread = |values: &[f64]| {
        let (low, high) = range(values);
        format!("({low:.0}-{high:.0})")
    };
    println!(
        "{:44} {:>9.0} {:>15} {:>8} {:>8} {:>11.2}",
        "SQLite alone, the same rows one by one",
        median(one_by_one),
        spread(one_by_one),
        "",
        "",
        1.0
    );
    for (clients, (_, goal)) in results.iter().zip(GOALS) {
        let ratio = median_ratio(&clients.per_second, one_by_one);
        println!(
            "{:44} {:>9.0} {:>15} {:>8.1} {:>8.1} {:>11.2}  goal {goal}: {}",
            format!("keywright over HTTP, {} clients", clients.count),
            median(&clients.per_second),
            spread(&clients.per_second),
            median(&clients.p99_ms),
            median(&clients.cpu_us),
            ratio,
            if ratio >= goal { "met" } else { "not met" }
        );
    }
}

/// Rows of a creation by table, with the column that numbers them.
const TABLES: [(&str, &str); 5] = [
    ("keys", "number"),
    ("secrets", "key"),
    ("changes", "sequence"),
    ("audit", "sequence"),
    ("audit_personal", "sequence"),
];
/// What the rows refer to, and the little that is there before the first creation.
const BEFORE: [&str; 4] = ["plans", "permissions", "users", "workspaces"];

/// SQLite with the same schema and settings, which commits the rows of one creation after the other.
struct OneByOne {
    connection: Connection,
    inserts: Vec<String>,
    /// For each creation, the row of each table.
    rows: Vec<[Vec<Value>; 5]>,
    next: usize,
}

impl OneByOne {
    /// Takes schema and rows from `source`.
    fn prepare(source: &Path, target: &Path) -> Result<Self> {
        let from = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let connection = Connection::open(target)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        let mut schema =
            from.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")?;
        for statement in schema.query_map([], |row| row.get::<_, String>(0))? {
            connection.execute_batch(&statement?)?;
        }
        for table in BEFORE {
            let rows = read(&from, &format!("SELECT * FROM {table}"))?;
            let insert = insert_into(table, rows.first().map_or(0, Vec::len));
            for row in rows {
                connection.execute(&insert, params_from_iter(row))?;
            }
        }
        for (name, value) in SETTINGS {
            connection.pragma_update(None, name, value)?;
        }
        let [keys, secrets, changes, audit, personal] = TABLES.map(|(table, number)| {
            // The newest creations: they are the load's.
            read(&from, &format!("SELECT * FROM {table} ORDER BY {number} DESC LIMIT 1000"))
        });
        let tables = [keys?, secrets?, changes?, audit?, personal?];
        let inserts = TABLES.iter().zip(&tables).map(|((table, _), rows)| insert_into(table, rows[0].len()));
        let inserts = inserts.collect();
        let count = tables.iter().map(Vec::len).min().unwrap_or(0);
        ensure!(count > 0, "there is no creation to copy");
        let rows =
            (0..count).map(|index| std::array::from_fn(|table| tables[table][index].clone())).collect();
        Ok(Self { connection, inserts, rows, next: 0 })
    }

    fn commits_per_second(&mut self, length: Duration) -> Result<f64> {
        let begin = Instant::now();
        let mut commits = 0.0;
        while begin.elapsed() < length {
            self.commit_next()?;
            commits += 1.0;
        }
        Ok(commits / begin.elapsed().as_secs_f64())
    }

    /// One creation: values of a real one, with numbers and unique texts of its own.
    fn commit_next(&mut self) -> Result<()> {
        self.next += 1;
        let number = i64::try_from(self.next)?;
        let rows = &self.rows[self.next % self.rows.len()];
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for ((insert, row), (table, _)) in self.inserts.iter().zip(rows).zip(TABLES) {
            let mut row = row.clone();
            row[0] = Value::Integer(number);
            match table {
                "keys" => row[1] = Value::Blob(changed(&row[1], number)),
                "secrets" => row[3] = Value::Text(scattered(number)),
                "changes" => row[3] = Value::Integer(number),
                "audit" => row[4] = Value::Text(format!("key_{}", scattered(number))),
                _ => {}
            }
            self.connection.prepare_cached(insert)?.execute(params_from_iter(row))?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

/// The settings of the store's writing connection.
const SETTINGS: [(&str, &str); 5] = [
    ("synchronous", "FULL"),
    ("wal_autocheckpoint", "4096"),
    ("cache_size", "-8192"),
    ("foreign_keys", "true"),
    ("temp_store", "MEMORY"),
];

fn read(connection: &Connection, statement: &str) -> Result<Vec<Vec<Value>>> {
    let mut statement = connection.prepare(statement)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn insert_into(table: &str, columns: usize) -> String {
    let places: Vec<String> = (1..=columns).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO {table} VALUES ({})", places.join(", "))
}

/// An id that grows with time, as ids do.
fn changed(id: &Value, number: i64) -> Vec<u8> {
    let mut bytes = match id {
        Value::Blob(bytes) => bytes.clone(),
        _ => vec![0; 16],
    };
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Twelve characters in no order, as locators are.
fn scattered(number: i64) -> String {
    let mixed = number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:012x}", mixed >> 16)
}
