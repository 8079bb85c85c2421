//! Logs: to standard error, and never with a secret.
//!
//! No log statement is given a secret, nor a person's address or number. Should one slip in all the same, with a third
//! party's error text for instance, the writer masks API keys, e-mail addresses, phone numbers and cards, by the rules of
//! `keywright redact`.

use std::{borrow::Cow, io, panic};

use keywright_redaction::Redactor;
use serde_json::Value;
use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    config::{Log, LogFormat},
    failure::{Exit, Failure},
};

/// What looks for secrets in lines.
const REDACTOR: Redactor = Redactor::new();

/// Starts logging, and logs panics without what they say: it may hold anything.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    let filter: EnvFilter =
        log.level.parse().map_err(|error| Failure::new(Exit::Config, format!("log.level: {error}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(Redacting(log.format));
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

/// Standard error, with secrets masked.
#[derive(Clone, Copy, Debug)]
struct Redacting(LogFormat);

impl<'a> MakeWriter<'a> for Redacting {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl io::Write for Redacting {
    /// The formatter hands over whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(masked(&text, self.0).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// The line without what must not be in it. A line of JSON stays one.
fn masked(line: &str, format: LogFormat) -> Cow<'_, str> {
    let masked = REDACTOR.redact(line);
    if format == LogFormat::Text || matches!(masked, Cow::Borrowed(_)) {
        return masked;
    }
    if serde_json::from_str::<Value>(&masked).is_ok() {
        return masked;
    }
    // A number that looks like a phone number, say, is not within quotes: each value is looked at for itself.
    let Ok(mut value) = serde_json::from_str::<Value>(line) else { return masked };
    mask_values(&mut value);
    Cow::Owned(format!("{value}\n"))
}

fn mask_values(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask_values),
        Value::Object(fields) => fields.values_mut().for_each(mask_values),
        Value::String(_) | Value::Number(_) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if let Cow::Owned(masked) = REDACTOR.redact(&text) {
                *value = Value::String(masked);
            }
        }
        Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        let seeded = |buffer: &mut [u8]| buffer.fill(7);
        keywright_keyformat::Secret::generate(keywright_keyformat::KeyKind::Live, None, seeded)
            .expose()
            .to_owned()
    }

    #[test]
    fn nothing_of_a_person_and_no_key_is_in_a_line() {
        let line = format!(
            "ERROR refused error=\"{} of ana@example.com, +1 555 123 4567, 4111111111111111\"\n",
            key()
        );
        let masked = masked(&line, LogFormat::Text);
        for secret in [key().as_str(), "ana@example.com", "555 123", "4111111111111111"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(masked.starts_with("ERROR refused error=") && masked.ends_with("\"\n"), "{masked}");
    }

    #[test]
    fn lines_of_our_own_stay_as_they_are() {
        let line = "2026-11-27T17:20:00.123456Z  INFO keywright::access: request \
                    request_id=\"req_01k9zq3v4w5x6y7z8a9b0c1d2e\" method=GET route=\"/v1/workspaces/{slug}/keys/{id}\" \
                    status=200 duration_us=1234567890 address=127.0.0.1:8080 events=5551234567\n";
        assert_eq!(masked(line, LogFormat::Text), line);
    }

    #[test]
    fn a_line_of_json_stays_json() {
        let line = "{\"message\":\"call 555-123-4567\",\"phone\":5551234567,\"mail\":[\"ana@example.com\"],\"ok\":true}\n";
        let masked = masked(line, LogFormat::Json);
        let value: Value = serde_json::from_str(&masked).expect("JSON");
        assert!(masked.ends_with("}\n"));
        assert_eq!(value["message"], "call [PHONE_REDACTED]");
        assert_eq!(value["mail"][0], "[EMAIL_REDACTED]");
        assert_eq!(value["ok"], true);
    }
}
