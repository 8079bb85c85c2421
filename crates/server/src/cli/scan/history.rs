//! Scanning what a git repository ever held: every line that any commit added, and every commit message.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use indicatif::ProgressBar;

use super::{
    files::shown_path,
    finding::{Finding, Place, findings},
};
use crate::failure::{Exit, Failure};

/// Begins the line that names a commit. No line of a difference begins with this character.
const COMMIT_MARK: &str = "\u{1}commit ";
/// Ends a commit's message.
const MESSAGE_END: &str = "\u{1}end";

/// What was looked at.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What was found; the same key in the same file once, in the commit that brought it in.
    pub(super) findings: Vec<Finding>,
    /// Commits that were looked at.
    pub(super) commits: u64,
}

/// Scans every branch, tag and stash of the repository that `directory` is in, as far as it lies under `directory`.
///
/// # Errors
/// When git cannot be run, `directory` is in no repository, or git fails half way.
pub(super) fn scan_history(directory: &Path, bar: &ProgressBar) -> Result<History, Failure> {
    let mut child = git(directory)
        .args(["log", "--all", "--reverse", "--topo-order", "--no-show-signature", "--no-color", "--patch"])
        .args(["--unified=0", "--relative", "--no-renames", "--no-ext-diff", "--no-textconv"])
        .args(["--src-prefix=a/", "--dst-prefix=b/", "--diff-merges=first-parent"])
        .arg("--format=%x01commit %H%n%B%n%x01end")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| no_git(&error))?;
    let output = child.stdout.take().expect("standard output is piped");
    let mut reader = PatchReader::new(directory);
    let read = reader.read(BufReader::with_capacity(1 << 16, output), bar);
    finish(child, directory)?;
    read.map_err(|error| Failure::new(Exit::Negative, format!("cannot read what git writes: {error}")))?;
    Ok(reader.history)
}

/// Files of the repository that look like they hold settings with secrets, and are tracked.
pub(super) fn tracked_env_files(directory: &Path) -> Vec<String> {
    let Ok(output) = git(directory).args(["ls-files", "-z"]).stderr(Stdio::null()).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    text.split('\0')
        .filter(|path| is_env_file(path.rsplit('/').next().unwrap_or(path)))
        .map(|path| shown_path(&directory.join(path)))
        .collect()
}

fn is_env_file(name: &str) -> bool {
    const EXAMPLES: [&str; 6] = ["example", "sample", "template", "dist", "defaults", "test"];
    name == ".env"
        || name.strip_prefix(".env.").is_some_and(|suffix| {
            !EXAMPLES.iter().any(|example| suffix.split('.').any(|part| part == *example))
        })
}

/// git, told to run nothing that the repository's settings name, and not to write.
fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("--no-pager")
        .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
        .args(["-c", "log.showRoot=true", "-c", "diff.interHunkContext=0"])
        .arg("-C")
        .arg(directory)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

fn no_git(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Negative, format!("cannot run git: {error}"))
        .remedy("--git-history needs the git command. Install it, or scan the files alone.")
}

fn finish(mut child: Child, directory: &Path) -> Result<(), Failure> {
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.by_ref().take(4_096).read_to_string(&mut complaint);
    }
    let status = child.wait().map_err(|error| no_git(&error))?;
    if status.success() {
        return Ok(());
    }
    let complaint = super::super::console::printable(complaint.trim());
    Err(Failure::new(
        Exit::Negative,
        format!("cannot read the history of {}: {complaint}", directory.display()),
    )
    .remedy("Name a directory inside a git repository, or leave out --git-history."))
}

/// Where the reader stands.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Between,
    Message,
    Hunk { removed_left: u64, added_left: u64 },
}

/// Reads what `git log --patch` writes.
struct PatchReader {
    directory: PathBuf,
    history: History,
    seen: HashSet<String>,
    state: State,
    commit: String,
    path: String,
    line: u64,
}

impl PatchReader {
    fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            history: History::default(),
            seen: HashSet::new(),
            state: State::Between,
            commit: String::new(),
            path: String::new(),
            line: 0,
        }
    }

    fn read(&mut self, mut input: impl BufRead, bar: &ProgressBar) -> std::io::Result<()> {
        let mut line = zeroize::Zeroizing::new(Vec::new());
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let commits = self.history.commits;
            self.take(line.strip_suffix(b"\n").unwrap_or(&line));
            bar.inc(self.history.commits - commits);
        }
    }

    fn take(&mut self, line: &[u8]) {
        match &mut self.state {
            State::Hunk { added_left, .. } if line.first() == Some(&b'+') => {
                *added_left = added_left.saturating_sub(1);
                let at = self.line;
                self.line += 1;
                self.report(&line[1..], at);
                self.close_hunk();
            }
            State::Hunk { removed_left, .. } if line.first() == Some(&b'-') => {
                *removed_left = removed_left.saturating_sub(1);
                self.close_hunk();
            }
            State::Message if line == MESSAGE_END.as_bytes() => self.state = State::Between,
            State::Message => {
                self.line += 1;
                self.report(line, self.line);
            }
            State::Between | State::Hunk { .. } => self.take_head(line),
        }
    }

    fn take_head(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if let Some(commit) = text.strip_prefix(COMMIT_MARK) {
            commit.clone_into(&mut self.commit);
            self.history.commits += 1;
            "(commit message)".clone_into(&mut self.path);
            self.line = 0;
            self.state = State::Message;
        } else if let Some(path) = text.strip_prefix("+++ ") {
            let path = unquote(path);
            let path = path.strip_prefix("b/").unwrap_or(&path);
            self.path = shown_path(&self.directory.join(path));
        } else if let Some((removed_left, added_left, start)) = hunk(&text) {
            self.line = start;
            self.state = State::Hunk { removed_left, added_left };
            self.close_hunk();
        }
    }

    fn close_hunk(&mut self) {
        if self.state == (State::Hunk { removed_left: 0, added_left: 0 }) {
            self.state = State::Between;
        }
    }

    fn report(&mut self, text: &[u8], line: u64) {
        if memchr::memmem::find(text, b"k_").is_none() {
            return;
        }
        let place = Place { path: &self.path, first_line: line, commit: Some(&self.commit) };
        for finding in findings(text, &place) {
            if self.seen.insert(finding.fingerprint.clone()) {
                self.history.findings.push(finding);
            }
        }
    }
}

/// Lines removed and added by the hunk, and the first line it adds: `@@ -a,b +c,d @@`.
fn hunk(line: &str) -> Option<(u64, u64, u64)> {
    let mut parts = line.strip_prefix("@@ ")?.split(' ');
    let mut range = |sign: char| {
        let text = parts.next()?.strip_prefix(sign)?;
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let (_, removed): (u64, u64) = range('-')?;
    let (start, added): (u64, u64) = range('+')?;
    Some((removed, added, start))
}

/// A path as git writes it: with a tab behind it or in quotes, where it has strange characters.
fn unquote(path: &str) -> String {
    let path = path.strip_suffix('\t').unwrap_or(path);
    let Some(quoted) = path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) else {
        return path.to_owned();
    };
    quoted.replace("\\\"", "\"").replace("\\t", "\t").replace("\\n", "\n").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Rule, *};

    const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

    fn run(directory: &Path, arguments: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgSign=false"])
            .args(arguments)
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    #[test]
    fn a_deleted_key_is_found_where_it_was() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path();
        run(directory, &["init", "-q", "-b", "main"]);
        std::fs::create_dir(directory.join("sub dir")).unwrap();
        let file = directory.join("sub dir/ä settings.py");
        std::fs::write(&file, format!("a\nb\nkey = '{KEY}'\n--- x\n+++ b/y\n")).unwrap();
        run(directory, &["add", "."]);
        run(directory, &["commit", "-q", "-m", "first"]);
        std::fs::write(&file, "a\nb\nkey = load()\n").unwrap();
        run(directory, &["commit", "-q", "-a", "-m", "remove"]);
        run(directory, &["checkout", "-q", "-b", "other"]);
        std::fs::write(directory.join("Dockerfile"), "ENV BAYT_API_KEY=sk_live_abc123\n").unwrap();
        run(directory, &["add", "."]);
        run(directory, &["commit", "-q", "-m", &format!("use {KEY}")]);
        run(directory, &["checkout", "-q", "main"]);
        std::fs::write(&file, format!("b\nkey = '{KEY}'\n")).unwrap();
        run(directory, &["commit", "-q", "-a", "-m", "again"]);

        let history = scan_history(directory, &ProgressBar::hidden()).unwrap();
        assert_eq!(history.commits, 4);
        let mut found: Vec<_> = history
            .findings
            .iter()
            .map(|finding| {
                (
                    finding.rule,
                    finding.path.rsplit('/').next().unwrap_or_default(),
                    finding.line,
                    finding.column,
                )
            })
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                (Rule::Key, "(commit message)", 1, 5),
                (Rule::Key, "ä settings.py", 3, 8),
                (Rule::Placeholder, "Dockerfile", 1, 18)
            ]
        );
        assert!(
            history.findings.iter().all(|finding| finding.commit.as_ref().is_some_and(|id| id.len() >= 40))
        );
        assert!(!format!("{history:?}").contains("MTahov"));
    }

    #[test]
    fn a_directory_without_history_says_so() {
        let temporary = tempfile::tempdir().unwrap();
        let failure = scan_history(temporary.path(), &ProgressBar::hidden()).unwrap_err();
        assert!(failure.to_string().contains("repository"), "{failure}");
    }

    #[test]
    fn env_files_that_are_tracked() {
        for (name, expected) in [
            (".env", true),
            (".env.production", true),
            (".env.example", false),
            ("x.env", false),
            (".envrc", false),
        ] {
            assert_eq!(is_env_file(name), expected, "{name}");
        }
        let temporary = tempfile::tempdir().unwrap();
        run(temporary.path(), &["init", "-q"]);
        std::fs::write(temporary.path().join(".env"), "A=b\n").unwrap();
        assert!(tracked_env_files(temporary.path()).is_empty());
        run(temporary.path(), &["add", "-f", ".env"]);
        assert_eq!(tracked_env_files(temporary.path()).len(), 1);
    }

    #[test]
    fn hunks_are_read() {
        assert_eq!(hunk("@@ -1,2 +3,4 @@ fn x"), Some((2, 4, 3)));
        assert_eq!(hunk("@@ -1 +2 @@"), Some((1, 1, 2)));
        assert_eq!(hunk("@@ -0,0 +1,3 @@"), Some((0, 3, 1)));
        assert_eq!(hunk("@@@ -1 -1 +1 @@@"), None);
        assert_eq!(unquote("\"b/a\\\"b\\\\c\""), "b/a\"b\\c");
    }
}
