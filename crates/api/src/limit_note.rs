//! The limits of a request, from where they are known to where its answer gets its headers.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use keywright_domain::time::Timestamp;

use crate::address_limit::AddressReading;

/// A place, in the extensions of a request, for the limit headers of its answer.
///
/// An extractor cannot touch the answer; it leaves the headers here, and the boundary writes them on whatever the endpoint
/// answers, problems included.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitNote(Arc<OnceLock<HeaderMap>>);

impl LimitNote {
    /// Leaves headers. The first ones count.
    pub(crate) fn leave(&self, headers: HeaderMap) {
        // A request is judged once.
        let _first = self.0.set(headers);
    }

    /// Writes what was left.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in self.0.get().into_iter().flatten() {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// Writes `RateLimit`, `RateLimit-Policy` and the `X-RateLimit-…` of the window with the least left.
pub(crate) fn write_address_limits(headers: &mut HeaderMap, readings: &[AddressReading], now: Timestamp) {
    let Some(tightest) = readings.iter().min_by_key(|reading| reading.remaining) else { return };
    let list = |show: fn(&AddressReading) -> String| readings.iter().map(show).collect::<Vec<_>>().join(", ");
    let reset_at = now.unix_seconds().saturating_add(i64::from(tightest.reset_seconds));
    let values = [
        ("ratelimit", list(|it| format!("\"{}\";r={};t={}", it.name, it.remaining, it.reset_seconds))),
        ("ratelimit-policy", list(|it| format!("\"{}\";q={};w={}", it.name, it.limit, it.window_seconds))),
        ("x-ratelimit-limit", tightest.limit.to_string()),
        ("x-ratelimit-remaining", tightest.remaining.to_string()),
        ("x-ratelimit-reset", reset_at.to_string()),
    ];
    for (name, value) in values {
        let value = HeaderValue::try_from(value).expect("names of windows and numbers are ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
}
