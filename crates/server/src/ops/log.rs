//! Logs: to standard error, and never with a secret.
//!
//! No log statement is given a secret. Should one slip in all the same, with a third party's error text for instance,
//! the writer masks whatever looks like a key.

use std::{io, panic};

use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    config::{Log, LogFormat},
    failure::{Exit, Failure},
};

/// Starts logging, and logs panics without what they say: it may hold anything.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    let filter: EnvFilter =
        log.level.parse().map_err(|error| Failure::new(Exit::Config, format!("log.level: {error}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(Redacting);
    let started = match log.format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| Failure::new(Exit::Software, format!("logging was started twice: {error}")))?;
    panic::set_hook(Box::new(|panicked| {
        let location = panicked.location().map_or_else(String::new, ToString::to_string);
        // Texts that are part of the program cannot hold a secret; formatted ones can.
        let message = panicked.payload().downcast_ref::<&'static str>().copied().unwrap_or("");
        let thread = std::thread::current();
        tracing::error!(location, message, thread = thread.name().unwrap_or(""), "panicked");
    }));
    Ok(())
}

/// Standard error, with keys masked.
#[derive(Clone, Copy, Debug)]
struct Redacting;

impl<'a> MakeWriter<'a> for Redacting {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Redacting {
    /// The formatter hands over whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(keywright_keyformat::redact(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
