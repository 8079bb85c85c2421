use std::io::{self, Write};

use memchr::memchr;

use crate::Redactor;
use crate::key::{private_key_open, within_private_key};

/// Most bytes that are held back. A longer line is judged in pieces that overlap.
const CAPACITY: usize = 64 << 10;
/// Bytes at the end of a piece that are judged again with what follows. More than the longest finding.
const OVERLAP: usize = 24 << 10;
/// Bytes before a piece that are kept so that its beginning is judged with what stands before it.
const CONTEXT: usize = 1 << 10;

/// Redacts what is written through it, for logs.
///
/// Lines are held back until they are complete, so what is found does not depend on how the text is cut into writes. The
/// text need not be UTF-8. A line of more than 64 KiB is judged in overlapping pieces; whatever it contains is found as
/// long as it has at most 16 KiB. A private key of several lines is held back as a whole.
///
/// [`flush`](Write::flush) passes on complete lines only: the beginning of a line may be the beginning of a secret. The
/// last line goes out with [`finish`](Self::finish), or when the writer is dropped.
///
/// ```
/// use std::io::Write;
/// use keywright_redaction::{RedactWriter, Redactor};
///
/// let mut log = RedactWriter::new(Vec::new(), Redactor::new());
/// log.write_all(b"login by ana@exa")?;
/// log.write_all(b"mple.com\nbye")?;
/// assert_eq!(log.finish()?, b"login by [EMAIL_REDACTED]\nbye");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RedactWriter<W: Write> {
    /// Taken by `finish`.
    inner: Option<W>,
    redactor: Redactor,
    held: Held,
}

impl<W: Write> RedactWriter<W> {
    /// Redacts with `redactor` and writes to `inner`, in one call per line.
    pub const fn new(inner: W, redactor: Redactor) -> Self {
        let held = Held { bytes: Vec::new(), written: 0, line: 0, in_private_key: false };
        Self { inner: Some(inner), redactor, held }
    }

    /// Writes what is held back and gives the inner writer back.
    ///
    /// # Errors
    ///
    /// Those of the inner writer. What was held back is lost then.
    pub fn finish(mut self) -> io::Result<W> {
        self.pass_on(Upto::End)?;
        let mut inner = self.inner.take().expect("only `finish` takes it");
        inner.flush()?;
        Ok(inner)
    }

    fn pass_on(&mut self, upto: Upto) -> io::Result<()> {
        let out = self.held.take(&self.redactor, upto);
        match &mut self.inner {
            Some(inner) if !out.is_empty() => inner.write_all(&out),
            _ => Ok(()),
        }
    }
}

impl<W: Write> Write for RedactWriter<W> {
    /// Takes everything.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut rest = text;
        while !rest.is_empty() {
            let room = (CAPACITY - self.held.bytes.len()).min(rest.len());
            let length = memchr(b'\n', &rest[..room]).map_or(room, |at| at + 1);
            let (now, later) = rest.split_at(length);
            rest = later;
            match self.held.put(now) {
                Held::INCOMPLETE => {}
                upto => self.pass_on(upto.expect("not incomplete"))?,
            }
        }
        Ok(text.len())
    }

    /// Flushes the inner writer. A line that is not complete stays held back.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<W: Write> Drop for RedactWriter<W> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            // Nobody is left to be told of a failure.
            drop(self.pass_on(Upto::End));
        }
    }
}

/// How much of what is held back can go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upto {
    /// Everything.
    End,
    /// All but the part that what follows may change.
    Overlap,
}

/// Text that is held back. Never shown.
struct Held {
    bytes: Vec<u8>,
    /// Bytes at the beginning that are out already.
    written: usize,
    /// Where the last line begins.
    line: usize,
    in_private_key: bool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Held({} bytes)", self.bytes.len())
    }
}

impl Held {
    const INCOMPLETE: Option<Upto> = None;

    /// Takes a piece of at most one line, and tells what can go out now. That depends on the text alone, not on the pieces.
    fn put(&mut self, piece: &[u8]) -> Option<Upto> {
        self.bytes.extend_from_slice(piece);
        if self.bytes.ends_with(b"\n") {
            let line = &self.bytes[self.line..];
            self.in_private_key =
                if self.in_private_key { within_private_key(line) } else { private_key_open(line) };
            self.line = self.bytes.len();
            if !self.in_private_key {
                return Some(Upto::End);
            }
        }
        (self.bytes.len() == CAPACITY).then_some(Upto::Overlap)
    }

    fn take(&mut self, redactor: &Redactor, upto: Upto) -> Vec<u8> {
        let findings = redactor.findings_in(&self.bytes);
        let mut end = self.bytes.len();
        if upto == Upto::Overlap {
            end -= OVERLAP;
            if let Some(across) =
                findings.iter().find(|finding| finding.range.start < end && end < finding.range.end)
            {
                end = if across.range.start > self.written { across.range.start } else { across.range.end };
            }
        }
        let mut out = Vec::with_capacity(end - self.written + 16);
        let mut copied = self.written;
        for finding in
            findings.iter().filter(|finding| finding.range.end > self.written && finding.range.end <= end)
        {
            out.extend_from_slice(&self.bytes[copied..finding.range.start.max(copied)]);
            out.extend_from_slice(redactor.token_of(finding.kind).as_bytes());
            copied = finding.range.end;
        }
        out.extend_from_slice(&self.bytes[copied..end]);
        match upto {
            Upto::End => {
                self.bytes.clear();
                (self.written, self.line, self.in_private_key) = (0, 0, false);
            }
            Upto::Overlap => self.forget(end),
        }
        out
    }

    fn forget(&mut self, written: usize) {
        let forgotten = written.saturating_sub(CONTEXT);
        self.bytes.drain(..forgotten);
        self.written = written - forgotten;
        self.line = self.line.saturating_sub(forgotten);
    }
}
