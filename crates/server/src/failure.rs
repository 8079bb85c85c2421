//! How a command ends when it fails: what happened, what to do, and the exit code.

use core::fmt;
use std::{io::Write as _, process::ExitCode};

/// Exit codes, after BSD's `sysexits.h`. Documented in `docs/configuration.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command worked, and the answer is "no": a key found by `scan`, a broken audit trail, a refused request.
    Negative = 1,
    /// Client and offline commands: the command line is wrong (the code that the argument parser uses too).
    Arguments = 2,
    /// Client and offline commands: something was found that must not be there: a key in a file, a break in the
    /// audit trail.
    Found = 3,
    /// Client commands: the server cannot be reached.
    Unreachable = 4,
    /// Client commands: the server refused.
    Refused = 5,
    /// The command line is wrong.
    Usage = 64,
    /// The data is damaged or does not fit together: a damaged database, a wrong pepper.
    Data = 65,
    /// A file or directory that is needed does not exist.
    NoInput = 66,
    /// Something that is needed cannot be reached: an address in use, a server that does not answer.
    Unavailable = 69,
    /// A defect.
    Software = 70,
    /// The operating system refuses something that should work.
    System = 71,
    /// A file or directory cannot be created or written.
    CannotCreate = 73,
    /// Reading or writing failed, or the disk is full.
    Io = 74,
    /// It may work later: another process uses the data directory.
    Busy = 75,
    /// Permissions of a file are wrong.
    Permission = 77,
    /// The configuration is wrong.
    Config = 78,
}

/// A failed command. Shown once, by `main`.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    remedy: Option<String>,
}

impl Failure {
    /// A failure that says what happened.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), remedy: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds one more thing to do about it.
    #[must_use]
    pub(crate) fn also(mut self, remedy: &str) -> Self {
        let before = self.remedy.take().map_or(String::new(), |before| format!("{before}\n"));
        self.remedy = Some(before + remedy);
        self
    }

    /// No failure, but an answer that the exit code gives: nothing more is said.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, String::new())
    }

    /// The same with another exit code.
    #[must_use]
    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The exit code.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes the failure to standard error and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            // Nothing is left to tell it to when standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{self}");
        }
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message may quote a file or an argument: whatever looks like a key does not reach the terminal.
        write!(formatter, "error: {}", keywright_keyformat::redact(&self.message))?;
        if let Some(remedy) = &self.remedy {
            for line in remedy.lines() {
                write!(formatter, "\n  {}", keywright_keyformat::redact(line))?;
            }
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Software, format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_message_is_masked() {
        let text = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";
        let failure = Failure::new(Exit::Usage, format!("what is {text}?")).remedy(format!("not {text}"));
        assert!(!failure.to_string().contains("MTahov29"), "{failure}");
        assert_eq!(failure.exit(), Exit::Usage);
    }
}
