//! `keywright scan`: finds keys in files and in git history.

mod baseline;
mod files;
mod finding;
mod history;
mod sarif;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use self::{
    files::{BinaryFiles, FileOptions, IgnoreRules, Walked},
    finding::{Finding, Place, Rule, Severity},
};
use super::{connection::Connection, console::Console, keys::look_up, session::Session};
use crate::failure::{Exit, Failure};

/// Most bytes of standard input.
const INPUT_MAX_BYTES: u64 = 1 << 30;

/// Find API keys in files and in git history
///
/// Looks through files, below directories too, hidden ones included; what .gitignore names and binary files are passed
/// over unless told otherwise. With --git-history also everything that any commit ever added, and commit messages: a key
/// that was deleted is still there for whoever clones the repository. Shows where, what kind, and the public part of the
/// key; the secret is never shown, and with --verify only the public part is sent.
///
/// Reports: high - a whole key, its checksum right; medium - has the shape of a key, or is cut off, or is another
/// vendor's; low - a placeholder such as `sk_live_abc123`; critical - --verify says that the key works. A line that holds
/// keywright:allow is passed over.
///
/// Exit code 0 when nothing was found, 3 when something was, 1 when something could not be read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright scan .                                        the files below this directory
  keywright scan . --git-history                          and everything that was ever committed
  git diff --cached | keywright scan -                    before a commit
  keywright scan . --fail-on medium --sarif keys.sarif    in CI, for code scanning
  keywright scan . --git-history --verify --url https://keys.example.com    which of them work?
  keywright scan . --write-baseline .keywright-baseline.json                accept what is there now
  keywright scan . --baseline .keywright-baseline.json                      and report only what is new")]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub(crate) struct Scan {
    /// Files and directories; - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Look through the git history of the directories, too
    #[arg(long)]
    git_history: bool,
    /// Look also at what .gitignore and other ignore files name
    #[arg(long)]
    no_ignore: bool,
    /// Look also at binary files
    #[arg(long)]
    binary: bool,
    /// Largest file to look at, in megabytes
    #[arg(long, value_name = "MB", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    max_size: u64,
    /// Threads; as many as the machine has when left out
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Write SARIF 2.1.0 to a file, or to standard output with -
    #[arg(long, value_name = "FILE|-", conflicts_with = "json")]
    sarif: Option<PathBuf>,
    /// Report only what this file does not accept
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Accept what is found now: write it to this file, and exit with 0
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    write_baseline: Option<PathBuf>,
    /// Exit with 3 from this severity on; everything is reported anyway
    #[arg(long, value_name = "SEVERITY", default_value = "low")]
    fail_on: Severity,
    /// Ask an installation which of the keys it knows; only locators are sent
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Everything a scan brought to light.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    accepted: usize,
    commits: Option<u64>,
    tracked_env_files: Vec<String>,
    walked: Walked,
}

impl Scan {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        let mut report = self.collect(&mut console)?;
        if let Some(file) = &self.write_baseline {
            baseline::write(file, &report.findings)?;
            console.note(&format!("Accepted {} finding(s) in {}.", report.findings.len(), file.display()));
            return Ok(());
        }
        if let Some(file) = &self.baseline {
            let accepted = baseline::read(file)?;
            let before = report.findings.len();
            report.findings.retain(|finding| !accepted.contains(&finding.fingerprint));
            report.accepted = before - report.findings.len();
        }
        if self.verify {
            console = self.ask_installation(&mut report.findings, console)?;
        }
        self.write(&report, &mut console)?;
        console.finish()?;
        self.judge(&report)
    }

    fn collect(&self, console: &mut Console) -> Result<Report, Failure> {
        let mut report = Report::default();
        let (input, paths): (Vec<&PathBuf>, Vec<&PathBuf>) =
            self.paths.iter().partition(|path| path.as_path() == Path::new("-"));
        let paths: Vec<PathBuf> = paths.into_iter().cloned().collect();
        if !paths.is_empty() {
            let bar = console.progress("scanning", "files", None);
            report.walked = files::scan_files(&paths, &self.file_options(), &bar);
            bar.finish_and_clear();
            report.findings = std::mem::take(&mut report.walked.findings);
        }
        if !input.is_empty() {
            let bytes = zeroize::Zeroizing::new(console.read_input(INPUT_MAX_BYTES)?);
            let place = Place { path: "(standard input)", first_line: 1, commit: None };
            report.findings.extend(finding::findings(&bytes, &place));
        }
        for directory in paths.iter().filter(|path| path.is_dir()) {
            report.tracked_env_files.extend(history::tracked_env_files(directory));
            if self.git_history {
                let bar = console.progress("reading history", "commits", None);
                let history = history::scan_history(directory, &bar)?;
                bar.finish_and_clear();
                report.commits = Some(report.commits.unwrap_or(0) + history.commits);
                merge(&mut report.findings, history.findings);
            }
        }
        if self.git_history && report.commits.is_none() {
            return Err(Failure::new(
                Exit::Arguments,
                "--git-history needs a directory inside a git repository",
            ));
        }
        sort(&mut report.findings);
        Ok(report)
    }

    fn file_options(&self) -> FileOptions {
        FileOptions {
            ignore_rules: if self.no_ignore { IgnoreRules::Disregard } else { IgnoreRules::Respect },
            binary: if self.binary { BinaryFiles::Scan } else { BinaryFiles::Skip },
            max_size_bytes: self.max_size << 20,
            threads: self.threads,
        }
    }

    /// Asks an installation about the confirmed keys.
    fn ask_installation(&self, findings: &mut [Finding], console: Console) -> Result<Console, Failure> {
        let session = Session::open(&self.connection, console)?;
        let locators: HashSet<String> =
            findings.iter().filter_map(|finding| finding.locator.clone()).collect();
        let mut locators: Vec<String> = locators.into_iter().collect();
        locators.sort();
        let known: HashMap<String, Value> = look_up(&session, &locators)?
            .into_iter()
            .filter_map(|row| Some((row.get("locator")?.as_str()?.to_owned(), row)))
            .collect();
        for finding in findings.iter_mut() {
            let Some(row) = finding.locator.as_ref().and_then(|locator| known.get(locator)) else {
                continue;
            };
            if row.get("usable") == Some(&Value::Bool(true)) {
                finding.severity = Severity::Critical;
            }
            finding.installation = Some(row.clone());
        }
        Ok(session.console)
    }

    fn write(&self, report: &Report, console: &mut Console) -> Result<(), Failure> {
        let to_output = self.sarif.as_deref() == Some(Path::new("-"));
        if let Some(file) = &self.sarif {
            let document = sarif::document(&report.findings);
            if to_output {
                console.answer_json(&document)?;
            } else {
                std::fs::write(file, format!("{document:#}\n")).map_err(|error| {
                    Failure::new(Exit::Negative, format!("cannot write {}: {error}", file.display()))
                })?;
            }
        }
        if self.connection.json {
            console.answer_json(&report.to_json())?;
        } else if !to_output {
            for finding in &report.findings {
                console.answer(&line(finding))?;
            }
        }
        report.remarks(console);
        Ok(())
    }

    fn judge(&self, report: &Report) -> Result<(), Failure> {
        let bad = report.findings.iter().filter(|finding| finding.severity >= self.fail_on).count();
        if bad > 0 {
            let keys = report.findings.iter().filter(|finding| finding.rule == Rule::Key).count();
            let failure = Failure::new(Exit::Found, format!("{bad} finding(s), {keys} of them whole keys"));
            return Err(failure.remedy(
                "Rotate or revoke each key first (keywright keys lookup finds it), then take it out of the file; the git \
                 history keeps it.\nFor an example that is no key: keywright:allow on its line, or --write-baseline.",
            ));
        }
        if report.walked.unreadable.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Negative,
            format!(
                "{} file(s) or directories could not be read, so the scan says nothing about them",
                report.walked.unreadable.len()
            ),
        )
        .remedy("Run it as a user who may read them, or name the paths that you mean."))
    }
}

impl Report {
    fn to_json(&self) -> Value {
        json!({
            "findings": self.findings,
            "accepted": self.accepted,
            "files": self.walked.files,
            "bytes": self.walked.bytes,
            "commits": self.commits,
            "skipped": {"binary": self.walked.skipped_binary, "too_large": self.walked.skipped_large},
            "unreadable": self.walked.unreadable,
            "tracked_env_files": self.tracked_env_files,
        })
    }

    fn remarks(&self, console: &mut Console) {
        for file in &self.tracked_env_files {
            console.note(&format!(
                "warning: {file} is tracked by git: add .env to .gitignore, then git rm --cached {file}"
            ));
        }
        for file in &self.walked.skipped_large {
            console.note(&format!("skipped for its size: {file} (--max-size)"));
        }
        for problem in &self.walked.unreadable {
            console.note(&format!("could not read {problem}"));
        }
        let commits = self.commits.map_or_else(String::new, |commits| format!(", {commits} commits"));
        let accepted = if self.accepted > 0 {
            format!(", {} accepted by the baseline", self.accepted)
        } else {
            String::new()
        };
        let binary = self.walked.skipped_binary;
        console.note(&format!(
            "{} findings in {} files ({} bytes){commits}{accepted}; {binary} binary files skipped",
            self.findings.len(),
            self.walked.files,
            self.walked.bytes,
        ));
    }
}

/// One finding in one line.
fn line(finding: &Finding) -> String {
    let commit = finding.commit.as_ref().map_or_else(String::new, |commit| {
        let short = commit.get(..12).unwrap_or(commit);
        if finding.present { format!(" (since {short})") } else { format!(" (deleted; in {short})") }
    });
    let confirmed = match finding.rule {
        Rule::Key => "confirmed",
        Rule::Suspect => "suspect",
        Rule::OtherVendor => "suspect, another vendor's",
        Rule::Placeholder => "suspect placeholder",
    };
    let severity = match finding.severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "CRITICAL",
    };
    let known = finding.installation.as_ref().map_or_else(String::new, |row| {
        let text = |name: &str| row.pointer(name).map_or_else(String::new, super::table::text);
        if row.get("key").is_none_or(Value::is_null) {
            return " → not known to this installation".to_owned();
        }
        let works =
            if row.get("usable") == Some(&Value::Bool(true)) { "works" } else { "does not work any more" };
        format!(" → {} in {}, {}: {works}", text("/key/id"), text("/key/workspace"), text("/key/status"))
    });
    format!(
        "{}:{}:{}: {severity}: {} key, {confirmed}: {}{commit}{known}",
        finding.path, finding.line, finding.column, finding.kind, finding.hint
    )
}

/// Adds what is only in the history; of what is also in the files, keeps the place there and the commit.
fn merge(findings: &mut Vec<Finding>, history: Vec<Finding>) {
    let mut present: HashMap<String, Vec<usize>> = HashMap::new();
    for (position, finding) in findings.iter().enumerate() {
        present.entry(finding.fingerprint.clone()).or_default().push(position);
    }
    for old in history {
        match present.get(&old.fingerprint) {
            Some(positions) => {
                for position in positions {
                    findings[*position].commit.clone_from(&old.commit);
                }
            }
            None => findings.push(old),
        }
    }
}

fn sort(findings: &mut [Finding]) {
    findings.sort_by(|one, other| {
        (&one.path, one.line, one.column, &one.commit).cmp(&(
            &other.path,
            other.line,
            other.column,
            &other.commit,
        ))
    });
}
