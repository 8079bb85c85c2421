//! Scanning files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ignore::{WalkBuilder, WalkState};
use indicatif::ProgressBar;

use super::finding::{Finding, Place, findings};

/// Bytes at the beginning of a file that tell whether it is binary, as git does it.
const BINARY_PROBE_BYTES: usize = 8_000;

/// What to look at.
#[derive(Clone, Debug)]
pub(super) struct FileOptions {
    /// Respect `.gitignore` and the like.
    pub(super) ignore_rules: IgnoreRules,
    /// Whether binary files are looked at.
    pub(super) binary: BinaryFiles,
    /// Largest file that is looked at, in bytes.
    pub(super) max_size_bytes: u64,
    /// Threads; 0 for as many as the machine has.
    pub(super) threads: usize,
}

/// Whether ignore files count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IgnoreRules {
    /// They do.
    Respect,
    /// Everything is scanned.
    Disregard,
}

/// Whether binary files are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinaryFiles {
    /// They are.
    Scan,
    /// They are passed over.
    Skip,
}

/// What was looked at, and what was not.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// What was found.
    pub(super) findings: Vec<Finding>,
    /// Files that were looked at.
    pub(super) files: u64,
    /// Bytes of them.
    pub(super) bytes: u64,
    /// Binary files that were passed over.
    pub(super) skipped_binary: u64,
    /// Files that were passed over for their size.
    pub(super) skipped_large: Vec<String>,
    /// What could not be read, and why.
    pub(super) unreadable: Vec<String>,
}

enum Outcome {
    Scanned(Vec<Finding>, u64),
    Binary,
    Large,
    Unreadable(String),
}

/// Scans everything under `roots`. Symbolic links are not followed.
pub(super) fn scan_files(roots: &[PathBuf], options: &FileOptions, bar: &ProgressBar) -> Walked {
    let walked = Mutex::new(Walked::default());
    let Some((first, more)) = roots.split_first() else {
        return Walked::default();
    };
    let mut builder = WalkBuilder::new(first);
    for root in more {
        builder.add(root);
    }
    builder
        .standard_filters(options.ignore_rules == IgnoreRules::Respect)
        .require_git(false)
        .hidden(false)
        .threads(options.threads)
        .filter_entry(|entry| entry.file_name() != ".git");
    builder.build_parallel().run(|| {
        Box::new(|entry| {
            let path = match &entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => entry.path(),
                Ok(_) => return WalkState::Continue,
                Err(error) => {
                    lock(&walked).unreadable.push(error.to_string());
                    return WalkState::Continue;
                }
            };
            let shown = shown_path(path);
            let outcome = scan_file(path, &shown, options);
            bar.inc(1);
            lock(&walked).add(shown, outcome);
            WalkState::Continue
        })
    });
    walked.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock(walked: &Mutex<Walked>) -> std::sync::MutexGuard<'_, Walked> {
    walked.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Walked {
    fn add(&mut self, shown: String, outcome: Outcome) {
        match outcome {
            Outcome::Scanned(findings, bytes) => {
                self.findings.extend(findings);
                self.files += 1;
                self.bytes += bytes;
            }
            Outcome::Binary => self.skipped_binary += 1,
            Outcome::Large => self.skipped_large.push(shown),
            Outcome::Unreadable(why) => self.unreadable.push(format!("{shown}: {why}")),
        }
    }
}

fn scan_file(path: &Path, shown: &str, options: &FileOptions) -> Outcome {
    let size_bytes = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) => return Outcome::Unreadable(error.to_string()),
    };
    if size_bytes > options.max_size_bytes {
        return Outcome::Large;
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => zeroize::Zeroizing::new(bytes),
        Err(error) => return Outcome::Unreadable(error.to_string()),
    };
    let place = Place { path: shown, first_line: 1, commit: None };
    if let Some(text) = utf16(&bytes) {
        return Outcome::Scanned(findings(text.as_bytes(), &place), size_bytes);
    }
    if options.binary == BinaryFiles::Skip && is_binary(&bytes) {
        return Outcome::Binary;
    }
    Outcome::Scanned(findings(&bytes, &place), size_bytes)
}

fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(BINARY_PROBE_BYTES)]).is_some()
}

/// A text that says it is UTF-16, as Windows writes it, in UTF-8.
pub(super) fn utf16(bytes: &[u8]) -> Option<String> {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xFF, 0xFE, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    Some(String::from_utf8_lossy(String::from_utf16_lossy(&units).as_bytes()).into_owned())
}

/// A path as it is shown, and as it is in fingerprints: with `/`, without `./` in front.
pub(super) fn shown_path(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let text = text.strip_prefix("./").unwrap_or(&text);
    super::super::console::printable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

    fn options() -> FileOptions {
        FileOptions {
            ignore_rules: IgnoreRules::Respect,
            binary: BinaryFiles::Skip,
            max_size_bytes: 1_000,
            threads: 2,
        }
    }

    fn names(walked: &Walked) -> Vec<String> {
        let mut names: Vec<_> = walked
            .findings
            .iter()
            .map(|finding| finding.path.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_looked_at_and_what_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
        write("plain", KEY.as_bytes());
        write(".hidden", KEY.as_bytes());
        write("ignored", KEY.as_bytes());
        write(".gitignore", b"ignored\n");
        write("binary", &[b"\0".as_slice(), KEY.as_bytes()].concat());
        write("at_limit", &[KEY.as_bytes(), &[b' '; 950]].concat());
        write("large", &[KEY.as_bytes(), &[b' '; 951]].concat());
        let wide: Vec<u8> =
            [0xFEFF_u16].into_iter().chain(KEY.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        write("utf16", &wide);
        fs::create_dir(directory.path().join(".git")).unwrap();
        write(".git/config", KEY.as_bytes());

        let bar = ProgressBar::hidden();
        let roots = [directory.path().to_owned()];
        let walked = scan_files(&roots, &options(), &bar);
        assert_eq!(names(&walked), [".hidden", "at_limit", "plain", "utf16"]);
        assert_eq!((walked.skipped_binary, walked.skipped_large.len(), walked.unreadable.len()), (1, 1, 0));

        let all = FileOptions {
            ignore_rules: IgnoreRules::Disregard,
            binary: BinaryFiles::Scan,
            max_size_bytes: 1_001,
            ..options()
        };
        let walked = scan_files(&roots, &all, &bar);
        assert_eq!(names(&walked), [".hidden", "at_limit", "binary", "ignored", "large", "plain", "utf16"]);

        let walked = scan_files(&[directory.path().join("ignored")], &options(), &bar);
        assert_eq!(names(&walked), ["ignored"], "a file that is named is scanned");
        let walked = scan_files(&[directory.path().join("missing")], &options(), &bar);
        assert_eq!(walked.unreadable.len(), 1);
    }
}
