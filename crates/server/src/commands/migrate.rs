//! `keywright migrate`: an installation from an embedded database to `PostgreSQL`, or back.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use keywright_domain::{
    time::Clock as _,
    transfer::{self, Beginning, Moved, Progress, Report, TransferError, TransferSource, TransferTarget},
};
use keywright_store_postgres::{PostgresOptions, PostgresSource, PostgresTarget};
use keywright_store_sqlite::{DATABASE_FILE, SqliteSource, SqliteTarget};
use serde_json::json;

use super::print;
use crate::{
    config::value::DatabaseAddress,
    failure::{Exit, Failure},
    installation::{DataDirectory, explain_connect, explain_open, explain_store},
    system::SystemClock,
};

/// What every node has a copy of in its data directory.
const SHARED_FILES: [&str; 4] =
    ["peppers.toml", "pepper-check.toml", "encryption-keys.toml", "audit-signing-key"];

/// Move an installation from a data directory to PostgreSQL, or back
///
/// Copies every table, then reads both sides anew and compares them: number of rows, SHA-256 of all rows in the order of their
/// keys, and the audit trail's chain. Only then the target can be served, and from then on the source refuses to be served, so
/// that there are never two of one installation. Stop the server, or all nodes, first.
///
/// Interrupt it whenever you like, also with kill -9: the same command goes on where it was. Until it is finished, the source
/// keeps working; if it was served meanwhile, the copy begins anew by itself.
///
/// Peppers, key-encryption keys and the audit signing key are files and are not copied: nodes need them in their data directories.
#[derive(Debug, Args)]
#[command(after_help = "\
An address with a password need not stand on the command line: env:NAME takes it from the environment variable NAME.

Examples:
  keywright migrate --from /var/lib/keywright --to postgres://keywright@db.internal/keywright
  keywright migrate --from /var/lib/keywright --to env:KEYWRIGHT_DATABASE_URL --root-certificate ca.pem
  keywright migrate --from env:KEYWRIGHT_DATABASE_URL --to /var/lib/keywright-embedded --json")]
pub(crate) struct Migrate {
    /// What to move: a data directory, postgres://…, or env:NAME
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Where to: an empty database as postgres://… or env:NAME, or a data directory without a database
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// PEM file with the certificates that the database's own must be signed by; the connection is encrypted then
    #[arg(long, value_name = "FILE")]
    root_certificate: Option<PathBuf>,
    /// The schema with the tables
    #[arg(long, value_name = "NAME", default_value = "keywright")]
    schema: String,
    /// Print what was moved as JSON
    #[arg(long)]
    json: bool,
}

/// One side of the command line.
enum Place {
    Directory(PathBuf),
    Database(DatabaseAddress),
}

impl Place {
    fn parse(option: &str, text: &str) -> Result<Self, Failure> {
        let wrong = |reason: String| Failure::new(Exit::Usage, format!("{option}: {reason}"));
        if let Some(name) = text.strip_prefix("env:") {
            #[expect(clippy::disallowed_methods, reason = "the command line names the variable")]
            let value = std::env::var(name)
                .map_err(|_| wrong(format!("the environment variable {name} is not set")))?;
            return DatabaseAddress::try_from(value).map(Self::Database).map_err(wrong);
        }
        if text.contains("://") {
            return DatabaseAddress::try_from(text.to_owned()).map(Self::Database).map_err(wrong);
        }
        Ok(Self::Directory(PathBuf::from(text)))
    }
}

impl Migrate {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let from = Place::parse("--from", &self.from)?;
        let to = Place::parse("--to", &self.to)?;
        // One thread for this side of the connections, one for the other.
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::System, format!("cannot start the event loop: {error}")))?
            .block_on(async {
                match (from, to) {
                    (Place::Directory(from), Place::Database(to)) => self.to_postgres(&from, &to).await,
                    (Place::Database(from), Place::Directory(to)) => self.to_directory(&from, &to).await,
                    (Place::Directory(_), Place::Directory(_)) => Err(Failure::new(
                        Exit::Usage,
                        "--from and --to are both data directories",
                    )
                    .remedy("One of them must be a PostgreSQL database. To copy a data directory: keywright backup, keywright restore")),
                    (Place::Database(_), Place::Database(_)) => Err(Failure::new(
                        Exit::Usage,
                        "--from and --to are both databases",
                    )
                    .remedy("One of them must be a data directory. To copy a database: pg_dump, pg_restore")),
                }
            })
    }

    async fn to_postgres(&self, from: &Path, to: &DatabaseAddress) -> Result<(), Failure> {
        if !from.join(DATABASE_FILE).is_file() {
            return Err(Failure::new(Exit::NoInput, format!("there is no database in {}", from.display()))
                .remedy("Name the data directory with keywright.db. Nothing was changed."));
        }
        let mut source = SqliteSource::open(from).map_err(explain_open)?;
        let mut target =
            PostgresTarget::open(self.options(to)).await.map_err(|error| explain_connect(&error))?;
        let place = target.place().to_owned();
        self.transfer(&mut source, &mut target, &from.display().to_string(), &place).await?;
        Self::note(&format!(
            "Each node needs {} of {} in its data directory.",
            SHARED_FILES.join(", "),
            from.display()
        ));
        Ok(())
    }

    async fn to_directory(&self, from: &DatabaseAddress, to: &Path) -> Result<(), Failure> {
        let mut source =
            PostgresSource::open(self.options(from)).await.map_err(|error| explain_connect(&error))?;
        let directory = DataDirectory::create(to)?;
        let mut target = SqliteTarget::open(directory.path()).map_err(explain_open)?;
        let origin = source.place().to_owned();
        let place = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
        self.transfer(&mut source, &mut target, &origin, &place.display().to_string()).await?;
        if !directory.peppers().exists() {
            Self::note(&format!(
                "Copy {} from the data directory of a node to {}, or name the peppers in the configuration: \
                 without them no key works.",
                SHARED_FILES.join(", "),
                to.display()
            ));
        }
        Ok(())
    }

    fn options(&self, address: &DatabaseAddress) -> PostgresOptions {
        let mut options = PostgresOptions::new(address.expose());
        options.tls_root_certificates.clone_from(&self.root_certificate);
        options.schema.clone_from(&self.schema);
        options
    }

    async fn transfer(
        &self,
        source: &mut dyn TransferSource,
        target: &mut dyn TransferTarget,
        from: &str,
        to: &str,
    ) -> Result<(), Failure> {
        let begun_ns = SystemClock.boot_ns();
        let mut display = Display::new();
        let moved =
            transfer::run(source, target, to, SystemClock.now(), &mut |progress| display.show(progress))
                .await;
        display.end();
        let report = moved.map_err(|error| explain(&error))?;
        let milliseconds = SystemClock.boot_ns().saturating_sub(begun_ns) / 1_000_000;
        let text = if self.json {
            format!("{:#}\n", as_json(&report, from, to, milliseconds))
        } else {
            as_text(&report, from, to, milliseconds)
        };
        print(&text)
    }

    fn note(text: &str) {
        // Nothing is left to tell it to when standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

fn as_json(report: &Report, from: &str, to: &str, milliseconds: u64) -> serde_json::Value {
    let (result, at) = match report.moved {
        Moved::Now => ("moved", None),
        Moved::Before(at) => ("moved_before", Some(at.to_rfc3339())),
    };
    let tables: Vec<_> = report
        .tables
        .iter()
        .map(|table| json!({"table": table.table, "rows": table.rows, "sha256": hex::encode(table.sha256)}))
        .collect();
    json!({
        "result": result,
        "moved_at": at,
        "from": from,
        "to": to,
        "rows": report.tables.iter().map(|table| table.rows).sum::<u64>(),
        "tables": tables,
        "audit_sequence": report.audit_head.0,
        "audit_hash": hex::encode(report.audit_head.1),
        "milliseconds": milliseconds,
    })
}

fn as_text(report: &Report, from: &str, to: &str, milliseconds: u64) -> String {
    let (sequence, hash) = (report.audit_head.0, hex::encode(report.audit_head.1));
    match report.moved {
        Moved::Now => {
            let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
            format!(
                "Moved {from} to {to}: {} rows in {} tables, equal on both sides, in {}.{} s.\n\
                 The audit trail ends with entry {sequence}, hash {hash}, as before.\n\
                 {from} is as it was and refuses to be served from now on.\n",
                HumanCount(rows),
                report.tables.len(),
                milliseconds / 1_000,
                milliseconds % 1_000 / 100,
            )
        }
        Moved::Before(at) => {
            format!("Nothing to do: {from} was moved to {to} at {}.\n", at.to_rfc3339())
        }
    }
}

/// Why nothing was moved, or not all, with what to do.
fn explain(error: &TransferError) -> Failure {
    let (exit, remedy) = match error {
        TransferError::Source(cause) | TransferError::Target(cause) => {
            let failure = Failure::new(explain_store(cause).exit(), error.to_string());
            return failure.remedy(
                "Nothing is lost: the source is as it was. Run the same command again, and it goes on where it was.",
            );
        }
        TransferError::InUse(_) => {
            (Exit::Busy, "Stop them, then run the same command again. Nothing was changed.")
        }
        TransferError::NotSetUp => {
            (Exit::Data, "Are --from and --to the other way round? Nothing was changed.")
        }
        TransferError::Used | TransferError::OtherTransfer => {
            (Exit::Data, "Nothing was changed. In the same database, another schema will do: --schema NAME.")
        }
        TransferError::ChangedSince => (
            Exit::Data,
            "Empty the target (a new schema, or another directory) and move again. Nothing was changed.",
        ),
        TransferError::MovedElsewhere(_) => (Exit::Data, "Nothing was changed."),
        TransferError::BrokenChain(_) => (Exit::Data, "The source is as it was and can be served."),
        _ => (Exit::Data, "The source is as it was."),
    };
    Failure::new(exit, error.to_string()).remedy(remedy)
}

/// Progress on standard error: a bar on a terminal, lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
    /// Rows of tables that are done in this phase.
    before: u64,
    table: &'static str,
    is_comparing: bool,
    rows: u64,
}

impl Display {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{msg:32} {wide_bar} {human_pos}/{human_len} rows  {per_sec}  {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
            bar
        });
        Self { bar, before: 0, table: "", is_comparing: false, rows: 0 }
    }

    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Begun(beginning, rows) => {
                self.rows = rows;
                if let Some(bar) = &self.bar {
                    bar.set_length(2 * rows);
                }
                self.line(match beginning {
                    Beginning::Restarted => {
                        "the source was changed since the interrupted transfer: beginning anew"
                    }
                    Beginning::Resumed => "going on where the interrupted transfer was",
                    _ => "beginning",
                });
            }
            Progress::Copying(table, rows, of) => self.step(table, rows, of, "copying"),
            Progress::Comparing(table, rows, of) => {
                if !self.is_comparing {
                    (self.is_comparing, self.before) = (true, self.rows);
                }
                self.step(table, rows, of, "comparing");
            }
            Progress::Finishing => self.line("finishing"),
        }
    }

    fn step(&mut self, table: &'static str, rows: u64, of: u64, what: &str) {
        if let Some(bar) = &self.bar {
            if self.table != table {
                bar.set_message(format!("{what} {table}"));
                self.table = table;
            }
            bar.set_position(self.before + rows);
        }
        if rows == of && of > 0 {
            self.before += of;
            if self.bar.is_none() {
                self.line(&format!("{what} {table}: {} rows", HumanCount(of)));
            }
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Nothing is left to tell it to when standard error is closed.
            None => drop(writeln!(std::io::stderr().lock(), "{text}")),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::time::Timestamp;

    use super::*;

    fn migrate(from: &str, to: &str) -> Migrate {
        Migrate {
            from: from.to_owned(),
            to: to.to_owned(),
            root_certificate: None,
            schema: "keywright".to_owned(),
            json: false,
        }
    }

    #[test]
    fn one_side_is_a_database() {
        let refused = |from, to| migrate(from, to).run().unwrap_err();
        for (from, to, word) in [
            ("a", "b", "data directories"),
            ("postgres://u:hunter2@a/b", "postgres://u:hunter2@c/d", "databases"),
            ("mysql://u:hunter2@a/b", "c", "postgres://"),
            ("c", "env:KEYWRIGHT_NO_SUCH_VARIABLE", "KEYWRIGHT_NO_SUCH_VARIABLE"),
        ] {
            let failure = refused(from, to);
            assert_eq!(failure.exit(), Exit::Usage);
            let text = failure.to_string();
            assert!(text.contains(word) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_source_that_is_not_there() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        let failure = migrate(missing.to_str().unwrap(), "postgres://127.0.0.1:1/x").run().unwrap_err();
        assert_eq!(failure.exit(), Exit::NoInput);
        assert!(!missing.exists());
    }

    #[test]
    fn the_report_as_text_and_as_json() {
        let report = Report {
            moved: Moved::Now,
            tables: vec![transfer::TableReport { table: "keys", rows: 1_234, sha256: [1; 32] }],
            audit_head: (7, [2; 32]),
        };
        let text = as_text(&report, "a", "b", 1_250);
        assert!(text.contains("1,234 rows") && text.contains("1.2 s") && text.contains("entry 7"), "{text}");
        let value = as_json(&report, "a", "b", 1_250);
        assert_eq!((&value["rows"], &value["result"]), (&json!(1_234), &json!("moved")));
        assert_eq!(value["tables"][0]["sha256"], hex::encode([1; 32]));
        let before = Report {
            moved: Moved::Before(Timestamp::from_unix_ms(0)),
            tables: Vec::new(),
            audit_head: (7, [2; 32]),
        };
        assert!(as_text(&before, "a", "b", 1).contains("1970-01-01T00:00:00.000Z"));
    }
}
