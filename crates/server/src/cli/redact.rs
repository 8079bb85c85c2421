//! `keywright redact`: what must not be in a log, out of it.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
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
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  my-server 2>&1 | keywright redact >> my-server.log
  keywright redact yesterday.log > yesterday.redacted.log
  keywright redact --only email,card --least likely < chat.txt")]
pub(crate) struct Redact {
    /// File to read; standard input unless named
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
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
        if let Some(path) = &self.file {
            let mut file = File::open(path).map_err(|error| {
                Failure::new(Exit::Negative, format!("cannot read {}: {error}", path.display()))
            })?;
            let output = console.output();
            finish(copy(&mut file, output, redactor))
        } else {
            let (input, output) = console.both();
            finish(copy(input, output, redactor))
        }
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
    use super::*;

    fn redacted(text: &str, only: &[Wanted], least: Least) -> String {
        let command = Redact { file: None, only: only.to_vec(), least };
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
