//! How long a caller is ready to wait: the preference `wait` of RFC 7240.

use std::time::Duration;

use http::HeaderMap;

use crate::caps::WAIT_SECONDS_MAX;

/// The header.
pub(crate) const PREFER: &str = "prefer";
/// Tells which preference was followed.
pub(crate) const PREFERENCE_APPLIED: &str = "preference-applied";

/// The wait that was asked for, at most [`WAIT_SECONDS_MAX`] seconds. The first `wait` counts; a value that is no whole
/// number of seconds, and every other preference, is as if it were not there (RFC 7240, section 2).
pub(crate) fn wait_seconds(headers: &HeaderMap) -> Option<u32> {
    let lines = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut waits = lines.flat_map(|line| line.split(',')).filter_map(|preference| {
        // What follows a semicolon are parameters of the preference.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    });
    let digits =
        waits.next().filter(|value| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(digits.parse().unwrap_or(WAIT_SECONDS_MAX).min(WAIT_SECONDS_MAX))
}

/// As a time span.
pub(crate) fn patience(asked: Option<u32>, default_seconds: u32) -> Duration {
    Duration::from_secs(asked.unwrap_or(default_seconds).into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Option<u32> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_str(line).unwrap());
        }
        wait_seconds(&headers)
    }

    #[test]
    fn zero_to_four_hundred_seconds() {
        for (text, seconds) in [("wait=0", 0), ("wait=1", 1), ("wait=399", 399), ("wait=400", 400)] {
            assert_eq!(read(&[text]), Some(seconds));
        }
        for beyond in ["wait=401", "wait=4294967295", "wait=4294967296", "wait=99999999999999999999999"] {
            assert_eq!(read(&[beyond]), Some(400), "{beyond}");
        }
    }

    #[test]
    fn what_is_no_wait_is_as_if_it_were_not_there() {
        assert_eq!(read(&[]), None);
        for text in
            ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=+1", "wait=ten", "waits=1", "respond-async"]
        {
            assert_eq!(read(&[text]), None, "{text}");
        }
    }

    #[test]
    fn the_first_one_counts_among_other_preferences() {
        assert_eq!(read(&["respond-async, WAIT = 7 ; foo=bar, wait=9"]), Some(7));
        assert_eq!(read(&["return=minimal", "wait=\"8\""]), Some(8));
        assert_eq!(read(&["wait=3", "wait=4"]), Some(3));
        assert_eq!(read(&["wait=soon, wait=4"]), None);
    }

    #[test]
    fn as_a_time_span() {
        assert_eq!(patience(None, 40), Duration::from_secs(40));
        assert_eq!(patience(Some(0), 40), Duration::ZERO);
    }
}
