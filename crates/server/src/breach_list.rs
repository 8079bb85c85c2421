//! Lists of breached passwords that an installation brings: a sorted file, or a command.

use std::{
    fs::File,
    io::{Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use async_trait::async_trait;
use keywright_api::password_rules::{BreachList, BreachListUnavailable, HashedPassword};

use crate::config::Accounts;

/// Bytes that are read around the middle of a search: longer than any line of a list.
const PIECE_BYTES: u64 = 256;
const DIGITS: usize = 40;

/// The list that the configuration names, if it names one.
pub(crate) fn of(accounts: &Accounts) -> Option<Arc<dyn BreachList>> {
    if let Some(path) = &accounts.breached_passwords_file {
        return Some(Arc::new(SortedFile { path: path.clone() }));
    }
    let (program, arguments) = accounts.breached_passwords_command.split_first()?;
    Some(Arc::new(Program { program: program.clone(), arguments: arguments.to_vec() }))
}

/// A file of SHA-1 digests in upper-case hexadecimal, sorted, one a line; what follows 40 digits is ignored. That is how
/// Have I Been Pwned gives its list away. It is searched where it lies, so it may be as large as it is.
struct SortedFile {
    path: PathBuf,
}

#[async_trait]
impl BreachList for SortedFile {
    async fn contains(&self, password: &HashedPassword) -> Result<bool, BreachListUnavailable> {
        let (path, digest) = (self.path.clone(), password.hex().to_owned());
        tokio::task::spawn_blocking(move || search(&path, digest.as_bytes()))
            .await
            .map_err(|error| BreachListUnavailable(error.to_string()))?
            .map_err(|error| BreachListUnavailable(format!("{}: {error}", self.path.display())))
    }
}

/// Whether a line of the sorted file at `path` begins with `digest`.
fn search(path: &Path, digest: &[u8]) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let (mut low, mut high) = (0, file.metadata()?.len());
    // The line that begins in `low..high` may be the one.
    while low < high {
        let middle = low + (high - low) / 2;
        let Some((start, line)) = line_from(&mut file, middle)? else {
            high = middle;
            continue;
        };
        if start >= high {
            high = middle;
            continue;
        }
        match line.as_slice().cmp(digest) {
            std::cmp::Ordering::Equal => return Ok(true),
            std::cmp::Ordering::Less => low = start + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(false)
}

/// The first line that begins at `position` or behind it: where, and its digits in upper case.
fn line_from(file: &mut File, position: u64) -> std::io::Result<Option<(u64, Vec<u8>)>> {
    // One byte before tells whether a line begins exactly here.
    let from = position.saturating_sub(1);
    file.seek(SeekFrom::Start(from))?;
    let mut piece = Vec::new();
    Read::by_ref(file).take(PIECE_BYTES).read_to_end(&mut piece)?;
    let skipped = if position == 0 {
        0
    } else {
        match piece.iter().position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None => return Ok(None),
        }
    };
    let line = &piece[skipped..];
    if line.len() < DIGITS {
        return Ok(None);
    }
    let start = from + u64::try_from(skipped).expect("a short piece");
    Ok(Some((start, line[..DIGITS].to_ascii_uppercase())))
}

/// A program that reads the SHA-1 of a password in hexadecimal from standard input: it ends with status 0 if the password may be
/// used, with 1 if it is breached, and with anything else if it cannot tell.
struct Program {
    program: String,
    arguments: Vec<String>,
}

#[async_trait]
impl BreachList for Program {
    async fn contains(&self, password: &HashedPassword) -> Result<bool, BreachListUnavailable> {
        let (program, arguments) = (self.program.clone(), self.arguments.clone());
        let digest = password.hex().to_owned();
        tokio::task::spawn_blocking(move || ask(&program, &arguments, &digest))
            .await
            .map_err(|error| BreachListUnavailable(error.to_string()))?
            .map_err(|why| BreachListUnavailable(format!("{}: {why}", self.program)))
    }
}

fn ask(program: &str, arguments: &[String], digest: &str) -> Result<bool, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // A program that knows without reading closes its end: what it says counts.
        let _unread = writeln!(input, "{digest}");
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match status.code() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(number: u32) -> String {
        HashedPassword::of(&format!("password of tests {number}")).hex().to_owned()
    }

    #[test]
    fn every_line_of_a_sorted_file_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.txt");
        for count in [0_u32, 1, 2, 3, 50] {
            let mut lines: Vec<String> =
                (0..count).map(|number| format!("{}:{number}", digest_of(number))).collect();
            lines.sort();
            for end in ["", "\n", "\r\n"] {
                std::fs::write(&path, lines.join(if end == "\r\n" { end } else { "\n" }) + end).unwrap();
                for number in 0..count {
                    assert!(search(&path, digest_of(number).as_bytes()).unwrap(), "{number} of {count}");
                }
                for number in count..count + 50 {
                    assert!(!search(&path, digest_of(number).as_bytes()).unwrap(), "{number} of {count}");
                }
            }
        }
        assert!(search(&directory.path().join("missing"), digest_of(1).as_bytes()).is_err());
    }

    #[test]
    fn a_program_says_by_its_status() {
        let run = |script: &str| ask("sh", &["-c".to_owned(), script.to_owned()], "ABC");
        assert_eq!(run("exit 0"), Ok(false));
        assert_eq!(run("read digest; test \"$digest\" != ABC"), Ok(true), "it reads the digest");
        assert!(run("exit 2").is_err());
        assert!(ask("/does/not/exist", &[], "ABC").is_err());
    }
}
