//! Values that people type: durations, points in time, limits, metadata.

use keywright_domain::{
    limits::{Algorithm, LimitWindow, Mode, OnUnavailable, check_windows},
    time::Timestamp,
};
use serde_json::{Map, Value};

/// A point in time, or how far it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So many seconds from now.
    After(i64),
    /// Then.
    At(Timestamp),
}

impl When {
    /// The point in time.
    pub(crate) const fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(seconds) => now.plus_seconds(seconds),
            Self::At(point) => point,
        }
    }

    /// The point so far back, where a duration means the past.
    pub(crate) const fn resolve_back(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(seconds) => now.plus_seconds(-seconds),
            Self::At(point) => point,
        }
    }
}

/// Reads `90d`, `12h30m` or an RFC 3339 date-time; a bare date means its first moment in UTC.
pub(crate) fn when(text: &str) -> Result<When, String> {
    if let Ok(seconds) = duration_seconds(text) {
        return i64::try_from(seconds).map(When::After).map_err(|_| "is too far away".to_owned());
    }
    Timestamp::parse_rfc3339(text)
        .or_else(|_| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .map(When::At)
        .map_err(|_| {
            "write a duration such as 90d or 12h, a date such as 2027-01-31, or a date-time such as \
             2027-01-31T00:00:00Z"
                .to_owned()
        })
}

/// Reads a duration: numbers with `s`, `m`, `h`, `d` or `w`, such as `48h` or `1d12h`; a bare `0` needs no unit.
pub(crate) fn duration_seconds(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "write a duration such as 30s, 15m, 48h, 90d or 1d12h";
    if text == "0" {
        return Ok(0);
    }
    let (mut total, mut number) = (0_u64, None::<u64>);
    for character in text.chars() {
        if let Some(digit) = character.to_digit(10) {
            let value = number.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(digit.into()));
            number = Some(value.ok_or("is too long a duration")?);
            continue;
        }
        let unit_seconds = match character {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(EXPECTED.to_owned()),
        };
        let value = number.take().ok_or(EXPECTED)?.checked_mul(unit_seconds);
        total = value.and_then(|value| total.checked_add(value)).ok_or("is too long a duration")?;
    }
    if number.is_some() || text.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    Ok(total)
}

/// A value, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

/// Reads whole days: `90d`, `2w`, or a bare number.
pub(crate) fn days(text: &str) -> Result<u32, String> {
    const EXPECTED: &str = "write whole days, such as 90d";
    if let Ok(days) = text.parse() {
        return Ok(days);
    }
    let seconds = duration_seconds(text).map_err(|_| EXPECTED)?;
    if !seconds.is_multiple_of(86_400) {
        return Err(EXPECTED.to_owned());
    }
    u32::try_from(seconds / 86_400).map_err(|_| "is too long a time".to_owned())
}

/// Reads whole days, or `none`.
pub(crate) fn days_or_none(text: &str) -> Result<OrNone<u32>, String> {
    if text == "none" { Ok(OrNone(None)) } else { days(text).map(|days| OrNone(Some(days))) }
}

/// Reads a calendar period as the API writes it: `90d`, `3mo`, or `none`, which is null.
pub(crate) fn period(text: &str) -> Result<Value, String> {
    if text == "none" {
        return Ok(Value::Null);
    }
    if let Some(months) = text.strip_suffix("mo") {
        let months: u8 = months.parse().map_err(|_| "write months such as 3mo".to_owned())?;
        return Ok(serde_json::json!({"months": months}));
    }
    let days = days(text).map_err(|_| "write a period such as 90d, 3mo or none".to_owned())?;
    Ok(serde_json::json!({"days": days}))
}

/// A period of the API as [`period`] reads it.
pub(crate) fn period_text(period: &Value) -> String {
    let member = |name: &str| period.get(name).and_then(Value::as_u64);
    match (member("days"), member("months")) {
        (Some(days), _) => format!("{days}d"),
        (None, Some(months)) => format!("{months}mo"),
        (None, None) => "none".to_owned(),
    }
}

/// A limit as [`limit`] reads it.
pub(crate) fn limit_text(window: &LimitWindow) -> String {
    let choices = [
        (window.algorithm == Algorithm::Smooth, ":smooth"),
        (window.mode == Mode::Exact, ":exact"),
        (window.on_unavailable == OnUnavailable::Open, ":or-open"),
    ];
    let choices: String = choices.iter().filter(|(is_chosen, _)| *is_chosen).map(|(_, text)| *text).collect();
    format!("{}={}/{}s{choices}", window.name, window.limit, window.window_seconds)
}

/// Reads an environment's rotation period: `production=90d`.
pub(crate) fn rotation(text: &str) -> Result<(String, Value), String> {
    let (name, of_period) = text.split_once('=').ok_or("write ENV=PERIOD, such as production=90d")?;
    Ok((environment(name)?, period(of_period)?))
}

/// Reads an overlap: a duration that fits 32 bits of seconds.
pub(crate) fn overlap_seconds(text: &str) -> Result<u32, String> {
    u32::try_from(duration_seconds(text)?).map_err(|_| "is too long an overlap".to_owned())
}

/// Reads a limit: `minute=1000/60s`, `burst=50/1s:smooth`.
pub(crate) fn limit(text: &str) -> Result<LimitWindow, String> {
    const EXPECTED: &str =
        "write NAME=LIMIT/WINDOW, such as minute=1000/60s, burst=50/1s:smooth or day=5/1d:exact";
    let (name, rest) = text.split_once('=').ok_or(EXPECTED)?;
    let (limit, rest) = rest.split_once('/').ok_or(EXPECTED)?;
    let (window, choices) = rest.split_once(':').unwrap_or((rest, ""));
    let mut window = LimitWindow {
        name: name.to_owned(),
        limit: limit.replace(['_', ','], "").parse().map_err(|_| EXPECTED)?,
        window_seconds: u32::try_from(duration_seconds(window)?).map_err(|_| "is too long a window")?,
        algorithm: Algorithm::Sliding,
        mode: Mode::Shared,
        on_unavailable: OnUnavailable::Closed,
    };
    for choice in choices.split(':').filter(|_| rest.contains(':')) {
        match choice {
            "sliding" => window.algorithm = Algorithm::Sliding,
            "smooth" => window.algorithm = Algorithm::Smooth,
            "shared" => window.mode = Mode::Shared,
            "exact" => window.mode = Mode::Exact,
            "or-open" => window.on_unavailable = OnUnavailable::Open,
            "or-closed" => window.on_unavailable = OnUnavailable::Closed,
            _ => return Err("after a colon stands sliding, smooth, exact or or-open".to_owned()),
        }
    }
    check_windows(std::slice::from_ref(&window)).map_err(|error| error.to_string())?;
    Ok(window)
}

/// Reads `key=value`.
pub(crate) fn metadata_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as team=web".to_owned()),
    }
}

/// A JSON object of string values.
pub(crate) fn metadata_object(pairs: &[(String, String)]) -> Value {
    let object: Map<String, Value> =
        pairs.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
    Value::Object(object)
}

/// Reads a JSON object.
pub(crate) fn json_object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err("write a JSON object, such as {\"team\": \"web\"}".to_owned()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// Reads an environment's name.
pub(crate) fn environment(text: &str) -> Result<String, String> {
    let name = match text {
        "dev" => "development",
        "prod" | "live" => "production",
        "stage" => "staging",
        other => other,
    };
    keywright_domain::environment::Environment::parse(name)
        .map(|environment| environment.as_str().to_owned())
        .ok_or_else(|| "is development, staging, production or ci".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("0", 0),
            ("30s", 30),
            ("15m", 900),
            ("48h", 172_800),
            ("90d", 7_776_000),
            ("1d12h", 129_600),
            ("2w", 1_209_600),
        ] {
            assert_eq!(duration_seconds(text), Ok(seconds), "{text}");
        }
        for text in
            ["", "5", "h", "-1h", "1.5h", "1h30", "1y", "99999999999999999999s", "18446744073709551615w"]
        {
            assert!(duration_seconds(text).is_err(), "{text}");
        }
        assert_eq!(overlap_seconds("4294967295s"), Ok(u32::MAX));
        assert!(overlap_seconds("4294967296s").is_err());
    }

    #[test]
    fn days_and_periods() {
        assert_eq!((days("90d"), days("2w"), days("7")), (Ok(90), Ok(14), Ok(7)));
        assert!(days("36h").is_err() && days("").is_err() && days("x").is_err());
        assert_eq!(days_or_none("none"), Ok(OrNone(None)));
        assert_eq!(period("3mo").unwrap(), serde_json::json!({"months": 3}));
        assert_eq!(period("90d").unwrap(), serde_json::json!({"days": 90}));
        assert_eq!(period("none").unwrap(), Value::Null);
        assert!(period("300mo").is_err() && period("3").is_ok() && period("mo").is_err());
        assert_eq!(rotation("prod=none").unwrap(), ("production".to_owned(), Value::Null));
        assert!(rotation("production").is_err() && rotation("x=3mo").is_err());
    }

    #[test]
    fn points_in_time() {
        let now = Timestamp::parse_rfc3339("2026-11-21T00:00:00Z").unwrap();
        let resolve = |text| when(text).map(|when| when.resolve(now).to_rfc3339());
        assert_eq!(resolve("1d").unwrap(), "2026-11-22T00:00:00.000Z");
        assert_eq!(resolve("2027-01-31").unwrap(), "2027-01-31T00:00:00.000Z");
        assert_eq!(resolve("2027-01-31T01:00:00+01:00").unwrap(), "2027-01-31T00:00:00.000Z");
        assert!(resolve("tomorrow").is_err() && resolve("2027-02-30").is_err());
        assert_eq!(when("1d").unwrap().resolve_back(now).to_rfc3339(), "2026-11-20T00:00:00.000Z");
    }

    #[test]
    fn limits() {
        let read = |text| {
            limit(text).map(|window| (window.name, window.limit, window.window_seconds, window.algorithm))
        };
        assert_eq!(read("minute=1000/60s"), Ok(("minute".to_owned(), 1_000, 60, Algorithm::Sliding)));
        assert_eq!(read("m=1_000/1m:sliding"), Ok(("m".to_owned(), 1_000, 60, Algorithm::Sliding)));
        assert_eq!(read("burst=50/1s:smooth"), Ok(("burst".to_owned(), 50, 1, Algorithm::Smooth)));
        for text in ["minute=1000/60s", "burst=50/1s:smooth", "day=5/86400s:exact:or-open"] {
            assert_eq!(limit_text(&limit(text).unwrap()), text);
        }
        for text in ["90d", "3mo", "none"] {
            assert_eq!(period_text(&period(text).unwrap()), text);
        }
        for text in [
            "",
            "minute",
            "minute=1000",
            "=5/1s",
            "m=0/1s",
            "m=5/0s",
            "m=5/60",
            "m=5/1s:fast",
            "M=5/1s",
            "m=x/1s",
        ] {
            assert!(limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn metadata_and_environments() {
        assert_eq!(metadata_pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(metadata_pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(metadata_pair("a").is_err() && metadata_pair("=b").is_err());
        assert!(json_object("[1]").is_err() && json_object("{").is_err() && json_object("{}").is_ok());
        assert_eq!(environment("prod"), Ok("production".to_owned()));
        assert!(environment("Production").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,40}") {
            let _ = (when(&text), duration_seconds(&text), limit(&text), metadata_pair(&text), environment(&text));
        }
    }
}
