//! Where events go.

mod file;
mod syslog;
mod webhook;

use std::io::{self, Write as _};

use super::event::Event;
use crate::config::security::{Destination, SinkSettings};
use crate::failure::Failure;

/// An event, and its line in the sink's format.
pub(crate) struct Written<'a> {
    /// The event.
    pub(crate) event: &'a Event,
    /// Its line, without its end.
    pub(crate) line: String,
}

/// Somewhere that events are delivered to.
pub(crate) trait Sink: Send {
    /// Delivers these events, in order. May block. After an error nobody knows how many arrived: all are delivered again.
    ///
    /// # Errors
    /// Why not.
    fn deliver(&mut self, events: &[Written<'_>]) -> io::Result<()>;
}

/// The sink that the settings describe. Nothing is connected yet.
pub(crate) fn of(settings: &SinkSettings) -> Result<Box<dyn Sink>, Failure> {
    Ok(match &settings.destination {
        Destination::Stdout => Box::new(Stdout),
        Destination::File { path } => Box::new(file::FileSink::new(path.clone())),
        Destination::Syslog { address } => Box::new(syslog::Syslog::new(address.clone())),
        Destination::Webhook { url, secret_file, secret_env } => {
            Box::new(webhook::Webhook::new(url, secret_file.as_deref(), secret_env.as_deref())?)
        }
    })
}

struct Stdout;

impl Sink for Stdout {
    fn deliver(&mut self, events: &[Written<'_>]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for written in events {
            writeln!(out, "{}", written.line)?;
        }
        out.flush()
    }
}

#[cfg(test)]
pub(in crate::security) mod samples {
    use super::{
        super::{event::samples, format::Format},
        *,
    };

    /// Delivers an event for each action.
    pub(in crate::security) fn deliver(sink: &mut dyn Sink, actions: &[&str]) -> io::Result<()> {
        let events: Vec<Event> = actions.iter().map(|action| samples::event(action)).collect();
        let written: Vec<_> =
            events.iter().map(|event| Written { event, line: Format::Json.line(event) }).collect();
        sink.deliver(&written)
    }
}
