//! How long it takes to move an installation with many keys to `PostgreSQL` and back.
//!
//! `cargo run --release -p keywright-store-postgres --example transfer DIRECTORY`, with a directory that
//! `cargo run --release -p keywright-store-sqlite --example load_million 1000000 DIRECTORY` has made. It is copied first.
//! Starts a server of its own.
#![expect(clippy::print_stdout, reason = "a measurement for people")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs the time")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails need not go on")]

use std::{fs, path::PathBuf, time::Instant};

use keywright_domain::transfer::{self, Progress, TransferSource, TransferTarget};
use keywright_store_postgres::{PostgresOptions, PostgresSource, PostgresTarget};
use keywright_store_sqlite::{DATABASE_FILE, SqliteSource, SqliteTarget};
use keywright_testkit::{PostgresServer, Samples};

fn main() {
    let directory = std::env::args().nth(1).map(PathBuf::from).unwrap();
    let (there, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(directory.join(DATABASE_FILE), there.path().join(DATABASE_FILE)).unwrap();
    let server = PostgresServer::start_with(&[("shared_buffers", "128MB"), ("max_wal_size", "1GB")]);
    let options = || PostgresOptions::new(server.url());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut source = SqliteSource::open(there.path()).unwrap();
        let mut target = PostgresTarget::open(options()).await.unwrap();
        measure("to PostgreSQL", &mut source, &mut target).await;
        drop((source, target));
        let mut source = PostgresSource::open(options()).await.unwrap();
        let mut target = SqliteTarget::open(back.path()).unwrap();
        measure("to SQLite", &mut source, &mut target).await;
    });
}

async fn measure(what: &str, source: &mut dyn TransferSource, target: &mut dyn TransferTarget) {
    let start = Instant::now();
    let mut last = ("", start);
    let mut show = |progress| {
        let (phase, table, rows, of) = match progress {
            Progress::Copying(table, rows, of) => ("copied", table, rows, of),
            Progress::Comparing(table, rows, of) => ("compared", table, rows, of),
            _ => return,
        };
        if rows == of && of > 10_000 {
            println!("  {phase} {table}: {rows} rows in {:.1} s", last.1.elapsed().as_secs_f64());
            last = (table, Instant::now());
        }
    };
    let report = transfer::run(source, target, "elsewhere", Samples::NOW, &mut show).await.unwrap();
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    println!("{what}: {rows} rows in {:.1} s", start.elapsed().as_secs_f64());
}
