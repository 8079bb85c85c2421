//! Where commands read and write: standard streams in production, buffers in tests.

use std::io::{self, IsTerminal as _, Read, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::{Exit, Failure};

/// The streams of a command. Answers go to `out`, everything said about them to `err`.
pub(crate) struct Console {
    input: Box<dyn Read>,
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    dialogue: Dialogue,
    progress: bool,
    closed: bool,
}

/// Whether a person can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialogue {
    /// Standard input and standard error are terminals.
    Possible,
    /// At least one of them is a file or a pipe.
    Impossible,
}

impl Console {
    /// The standard streams.
    pub(crate) fn standard() -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self {
            input: Box::new(io::stdin()),
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            dialogue: if is_terminal && io::stdin().is_terminal() {
                Dialogue::Possible
            } else {
                Dialogue::Impossible
            },
            progress: is_terminal,
            closed: false,
        }
    }

    /// Writes a line of the answer.
    ///
    /// # Errors
    /// When standard output cannot be written. That its reader went away is no error: nobody wants the rest.
    pub(crate) fn answer(&mut self, line: &str) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        match writeln!(self.out, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(cannot_write(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// Writes the answer as indented JSON.
    ///
    /// # Errors
    /// As [`Console::answer`].
    pub(crate) fn answer_json(&mut self, value: &Value) -> Result<(), Failure> {
        self.answer(&format!("{value:#}"))
    }

    /// Says something to the person at the terminal.
    pub(crate) fn note(&mut self, line: &str) {
        // What was answered so far comes first. Nothing is left to tell it to when standard error is closed.
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{line}");
    }

    /// Reads standard input to its end, at most `limit_bytes`.
    ///
    /// # Errors
    /// When it cannot be read or is longer.
    pub(crate) fn read_input(&mut self, limit_bytes: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        (&mut self.input)
            .take(limit_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::new(Exit::Negative, format!("cannot read standard input: {error}")))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > limit_bytes) {
            return Err(Failure::new(
                Exit::Negative,
                format!("standard input has more than {limit_bytes} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// Standard input itself, for streams.
    pub(crate) fn input(&mut self) -> &mut dyn Read {
        &mut *self.input
    }

    /// Standard output itself, for streams.
    pub(crate) fn output(&mut self) -> &mut dyn Write {
        &mut *self.out
    }

    /// Standard input and standard output, for streams from one to the other.
    pub(crate) fn both(&mut self) -> (&mut dyn Read, &mut dyn Write) {
        (&mut *self.input, &mut *self.out)
    }

    /// Asks a question and takes the answer, without its line break.
    pub(crate) fn ask(&mut self, question: &str) -> Option<String> {
        if self.dialogue == Dialogue::Impossible {
            return None;
        }
        let _ = write!(self.err, "{question} ");
        let _ = self.err.flush();
        let mut answer = Vec::new();
        let mut byte = [0];
        while self.input.read(&mut byte).ok()? == 1 && byte[0] != b'\n' {
            answer.push(byte[0]);
        }
        String::from_utf8(answer).ok().map(|answer| answer.trim().to_owned())
    }

    /// Flushes the answer.
    ///
    /// # Errors
    /// As [`Console::answer`].
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        match self.out.flush() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write(&error)),
            _ => Ok(()),
        }
    }

    /// A progress bar on standard error, if that is a terminal; `length` in `unit`s, `None` when nobody knows.
    pub(crate) fn progress(&self, what: &'static str, unit: &str, length: Option<u64>) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        let template = if length.is_some() {
            format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {unit} {{eta}}")
        } else {
            format!("{{msg}} {{spinner}} {{pos}} {unit} {{elapsed}}")
        };
        bar.set_style(ProgressStyle::with_template(&template).expect("a valid template"));
        bar.set_message(what);
        bar
    }
}

/// The failure of not being able to write the answer.
pub(crate) fn cannot_write(error: &io::Error) -> Failure {
    Failure::new(Exit::Negative, format!("cannot write the answer to standard output: {error}"))
        .remedy("If it is a file, look whether its disk is full.")
}

/// A text from elsewhere, safe to show: control characters, which could steer the terminal, become `\u{…}`.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
pub(crate) mod captured {
    //! A console that keeps what is written.

    use std::{
        cell::RefCell,
        io::{self, Cursor, Write},
        rc::Rc,
    };

    use super::{Console, Dialogue};

    /// What was written.
    #[derive(Clone, Default)]
    pub(crate) struct Tape(Rc<RefCell<Vec<u8>>>);

    impl Tape {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A console with this input, and its standard output and standard error.
    pub(crate) fn console(input: &[u8], dialogue: Dialogue) -> (Console, Tape, Tape) {
        let (out, err) = (Tape::default(), Tape::default());
        let console = Console {
            input: Box::new(Cursor::new(input.to_vec())),
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            dialogue,
            progress: false,
            closed: false,
        };
        (console, out, err)
    }
}

#[cfg(test)]
mod tests {
    use super::{captured::console, *};

    #[test]
    fn input_has_a_limit() {
        let (mut at_limit, ..) = console(b"12345", Dialogue::Impossible);
        assert_eq!(at_limit.read_input(5).unwrap(), b"12345");
        let (mut over, ..) = console(b"123456", Dialogue::Impossible);
        assert!(over.read_input(5).is_err());
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{9b}c"), "a\\u{1b}[31mb\\u{9b}c");
        assert_eq!(printable("küche"), "küche");
    }

    #[test]
    fn nobody_is_asked_without_a_terminal() {
        let (mut alone, ..) = console(b"yes\n", Dialogue::Impossible);
        assert_eq!(alone.ask("sure?"), None);
        let (mut person, _, err) = console(b"yes \nmore", Dialogue::Possible);
        assert_eq!(person.ask("sure?"), Some("yes".to_owned()));
        assert_eq!(err.text(), "sure? ");
    }
}
