//! How long it takes to read the verification state of many keys at start.
//!
//! `cargo run --release -p keywright-store-sqlite --example load_million [KEYS] [DIRECTORY]`; a directory that has a
//! database already is used as it is.
#![expect(clippy::print_stdout, reason = "a measurement for people")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs the time")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails need not go on")]

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use keywright_domain::{change::Change, command::Command, ids::KeyId, store::Store as _};
use keywright_store_sqlite::{DATABASE_FILE, Options, SqliteStore};
use keywright_testkit::{Installation, Samples};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let keys: usize = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let directory = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    if !directory.join(DATABASE_FILE).exists() {
        let start = Instant::now();
        runtime.block_on(create(&directory, keys));
        println!("{keys} keys created in {:.1} s", start.elapsed().as_secs_f64());
    }
    for _ in 0..3 {
        let start = Instant::now();
        let store = SqliteStore::open(&directory, &Options::default(), keywright_testkit::vault())?;
        let opened = start.elapsed();
        let seen = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&seen);
        runtime.block_on(store.load(Box::new(move |change| {
            if let Change::Key(key) = change {
                count.fetch_add(u64::from(key.number.0 > 0), Ordering::Relaxed);
            }
        })))?;
        let seen = seen.load(Ordering::Relaxed);
        println!("opened in {opened:.1?}, {seen} keys loaded after {:.1?}", start.elapsed());
        runtime.block_on(store.close())?;
    }
    Ok(())
}

async fn create(place: &Path, keys: usize) {
    const CALLERS: usize = 512;
    let store = Arc::new(SqliteStore::open(place, &Options::default(), keywright_testkit::vault()).unwrap());
    let installation = Arc::new(Installation::set_up(Arc::clone(&store)).await);
    let mut tasks = Vec::new();
    for caller in 0..CALLERS {
        let installation = Arc::clone(&installation);
        tasks.push(tokio::spawn(async move {
            for number in (caller..keys).step_by(CALLERS) {
                let mut new = installation.samples.new_key("production web application");
                let created_at = Samples::NOW.plus_ms(i64::try_from(number / 10).unwrap());
                new.id = KeyId::generate(created_at, installation.samples.entropy());
                new.metadata =
                    format!(r#"{{"customer":"{number:08}","team":"payments","region":"eu-west"}}"#);
                installation.on_keys(Command::CreateKey(Box::new(new))).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    store.close().await.unwrap();
}
