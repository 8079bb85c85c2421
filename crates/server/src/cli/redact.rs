//! `keywright redact`: what must not be in a log, out of it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use keywright_redaction::{Confidence, Kind, RedactWriter, Redactor};

use super::console::Console;
use crate::failure::{Exit, Failure};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Mask e-mail addresses, phone numbers, payment cards and API keys in a log
///
/// Reads a file or standard input line by line and writes it to standard output with [`EMAIL_REDACTED`], [`PHONE_REDACTED`],
/// [`CARD_REDACTED`] and [`API_KEY_REDACTED`] in the place of what it finds. Lines come out as soon as they are complete, so it
/// can stand between a program and its log for as long as the program runs. Nothing leaves this machine. The rules are those
/// of POST /v1/redact and of this server's own logs.
///
/// With --check nothing is written: each finding is listed by file, line and column, and the exit code is 3 if there is one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  my-server 2>&1 | keywright redact >> my-server.log
  keywright redact yesterday.log > yesterday.redacted.log
  keywright redact --only email,card --least likely < chat.txt
  keywright redact --check --least likely prompts/*.md     in CI: no personal data in prompts")]
pub(crate) struct Redact {
    /// Files to read, one after the other; standard input unless named
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// List where something was found, without what it is; exit code 3 if anything was
    #[arg(long)]
    check: bool,
    /// Look only for these
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    only: Vec<Wanted>,
    /// Leave what is less sure than this
    #[arg(long, value_name = "CONFIDENCE", default_value = "possible")]
    least: Least,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Email,
    Phone,
    Card,
    ApiKey,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Least {
    /// The shape fits and nothing speaks against it
    Possible,
    /// Shape and surroundings fit
    Likely,
    /// A checksum is right, or nothing else has this shape
    Certain,
}

impl Redact {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        let redactor = self.redactor();
        if self.check {
            return self.check(&mut console, &redactor);
        }
        if self.files.is_empty() {
            let (input, output) = console.both();
            return finish(copy(input, output, redactor));
        }
        for path in &self.files {
            let mut file = File::open(path).map_err(|error| cannot_read(path, &error))?;
            finish(copy(&mut file, console.output(), redactor.clone()))?;
        }
        Ok(())
    }

    fn check(&self, console: &mut Console, redactor: &Redactor) -> Result<(), Failure> {
        let mut found = 0;
        let mut tell = |console: &mut Console, path: &Path, lines: io::Result<Vec<String>>| {
            let lines = lines.map_err(|error| cannot_read(path, &error))?;
            found += lines.len();
            lines.iter().try_for_each(|line| console.answer(line))
        };
        if self.files.is_empty() {
            let (input, _) = console.both();
            let lines = report(BufReader::new(input), "-", redactor);
            tell(console, Path::new("-"), lines)?;
        }
        for path in &self.files {
            let name = path.display().to_string();
            let lines = File::open(path).and_then(|file| report(BufReader::new(file), &name, redactor));
            tell(console, path, lines)?;
        }
        if found == 0 {
            return Ok(());
        }
        Err(Failure::new(Exit::Found, format!("{found} finding(s)"))
            .remedy("Take them out, or leave what is less sure with --least likely."))
    }

    fn redactor(&self) -> Redactor {
        let least = match self.least {
            Least::Possible => Confidence::Possible,
            Least::Likely => Confidence::Likely,
            Least::Certain => Confidence::Certain,
        };
        let is_wanted = |kind: Kind| self.only.is_empty() || self.only.contains(&kind.into());
        Kind::ALL
            .into_iter()
            .filter(|kind| !is_wanted(*kind))
            .fold(Redactor::new().least(least), Redactor::without)
    }
}

impl From<Kind> for Wanted {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Email => Self::Email,
            Kind::Phone => Self::Phone,
            Kind::Card => Self::Card,
            Kind::ApiKey => Self::ApiKey,
        }
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Negative, format!("cannot read {}: {error}", path.display()))
}

/// A line for each finding.
fn report(mut input: impl BufRead, name: &str, redactor: &Redactor) -> io::Result<Vec<String>> {
    let (mut found, mut line) = (Vec::new(), Vec::new());
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        for finding in redactor.findings_in(&line) {
            let column = String::from_utf8_lossy(&line[..finding.range.start]).chars().count() + 1;
            found.push(format!("{name}:{number}:{column}: {}", finding.kind.name()));
        }
    }
    Ok(found)
}

/// Copies a stream through the rules. What is complete is passed on at once.
fn copy(input: &mut dyn Read, output: &mut dyn Write, redactor: Redactor) -> io::Result<()> {
    let mut writer = RedactWriter::new(output, redactor);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = match input.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        if length == 0 {
            break;
        }
        writer.write_all(&piece[..length])?;
        writer.flush()?;
    }
    writer.finish()?.flush()
}

/// That the reader of our output went away is no failure: nobody wants the rest.
fn finish(copied: io::Result<()>) -> Result<(), Failure> {
    match copied {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Negative, format!("the stream broke off: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::console::{Dialogue, captured::console},
        *,
    };

    fn redacted(text: &str, only: &[Wanted], least: Least) -> String {
        let command = Redact { files: Vec::new(), check: false, only: only.to_vec(), least };
        let mut out = Vec::new();
        copy(&mut text.as_bytes(), &mut out, command.redactor()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_log_goes_through() {
        let log =
            "login by ana@example.com\ncard 4111 1111 1111 1111, call (555) 123-4567\nts=1715941800 bye";
        assert_eq!(
            redacted(log, &[], Least::Possible),
            "login by [EMAIL_REDACTED]\ncard [CARD_REDACTED], call [PHONE_REDACTED]\nts=1715941800 bye"
        );
        assert_eq!(
            redacted(log, &[Wanted::Phone], Least::Certain),
            log.replace("(555) 123-4567", "[PHONE_REDACTED]")
        );
        assert!(redacted(log, &[Wanted::Card], Least::Certain).contains("card [CARD_REDACTED], call (555)"));
    }

    #[test]
    fn what_is_found_is_listed_without_being_shown() {
        let directory = tempfile::tempdir().unwrap();
        let (clean, dirty) = (directory.path().join("clean.md"), directory.path().join("dirty.md"));
        std::fs::write(&clean, "Answer {{question}} in the name of the shop.\n").unwrap();
        std::fs::write(&dirty, "Line\nAsk éva@example.com, or call (555) 123-4567\n").unwrap();
        let check = |files: &[&PathBuf]| {
            let files = files.iter().map(|file| (*file).clone()).collect();
            let command = Redact { files, check: true, only: Vec::new(), least: Least::Possible };
            let (console, out, _) = console(b"", Dialogue::Impossible);
            (command.run(console), out.text())
        };
        let (result, out) = check(&[&clean]);
        assert!(result.is_ok() && out.is_empty(), "{out}");
        let (result, out) = check(&[&clean, &dirty]);
        assert_eq!(result.unwrap_err().exit(), Exit::Found);
        let name = dirty.display();
        assert_eq!(out, format!("{name}:2:5: email\n{name}:2:30: phone\n"));
        assert!(check(&[&directory.path().join("none")]).0.is_err());
    }

    #[test]
    fn a_line_goes_out_before_the_next_one_comes() {
        struct Lines(Vec<&'static str>);
        impl Read for Lines {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let Some(line) = self.0.pop() else { return Err(io::Error::other("the program was killed")) };
                buffer[..line.len()].copy_from_slice(line.as_bytes());
                Ok(line.len())
            }
        }
        let mut out = Vec::new();
        let error = copy(&mut Lines(vec!["a@example.com\n"]), &mut out, Redactor::new()).unwrap_err();
        assert_eq!(error.to_string(), "the program was killed");
        assert_eq!(out, b"[EMAIL_REDACTED]\n");
    }
}
