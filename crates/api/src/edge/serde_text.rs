//! Turns the messages of serde into the API's own error texts, without quoting the client's values.

use std::borrow::Cow;

use crate::{
    caps::QUOTED_MAX_BYTES,
    error::{ApiError, ErrorCode},
};

/// What kind of input was read: it decides the words and the code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// A JSON body or a form.
    Body,
    /// A query string: every mistake has the same code.
    Query,
}

/// The error for serde's `message` about the value at `path` (empty or `.`: the whole input).
pub(super) fn data_error(input: Input, path: &str, message: &str) -> ApiError {
    let message = without_position(message);
    let path = if path == "." { "" } else { path };
    if let Some(name) = quoted(message, "unknown field ") {
        return unknown(input, &field_path(path, name), message);
    }
    if let Some(name) = quoted(message, "missing field ") {
        let code = if input == Input::Query { ErrorCode::InvalidQuery } else { ErrorCode::MissingField };
        return located(code, &field_path(path, name), |field| {
            format!("The {} `{field}` is required.", input.noun())
        });
    }
    let code = if input == Input::Query { ErrorCode::InvalidQuery } else { ErrorCode::InvalidField };
    if let Some(name) = quoted(message, "duplicate field ") {
        return located(code, &field_path(path, name), |field| {
            format!("The {} `{field}` is there more than once.", input.noun())
        });
    }
    let reason = reason(message);
    if path.is_empty() {
        return ApiError::with_detail(code, format!("The {}: {reason}.", input.whole()));
    }
    located(code, path, |field| format!("`{field}`: {reason}."))
}

impl Input {
    const fn noun(self) -> &'static str {
        match self {
            Self::Body => "field",
            Self::Query => "query parameter",
        }
    }

    const fn whole(self) -> &'static str {
        match self {
            Self::Body => "request body",
            Self::Query => "query string",
        }
    }
}

fn unknown(input: Input, field: &str, message: &str) -> ApiError {
    let (code, noun) = match input {
        Input::Body => (ErrorCode::UnknownField, "field"),
        Input::Query => (ErrorCode::InvalidQuery, "query parameter"),
    };
    let known = message.split_once(", expected ").map(|(_, list)| list.trim_start_matches("one of "));
    located(code, field, |field| match known {
        Some(list) => format!("Unknown {noun} `{field}`. Known here: {list}."),
        None => format!("Unknown {noun} `{field}`. There are none here."),
    })
}

fn located(code: ErrorCode, field: &str, detail: impl FnOnce(&str) -> String) -> ApiError {
    let field = presentable(field);
    ApiError::with_detail(code, detail(&field)).member("field", &*field)
}

/// Names come from the client: cut to a sane length, and hidden when they look like anything but a path of names.
fn presentable(field: &str) -> Cow<'_, str> {
    let is_path = field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]$:".contains(&byte));
    let like_a_secret = ["sk_live_", "sk_test_", "ok_"].iter().any(|prefix| field.contains(prefix));
    if is_path && !like_a_secret && field.len() <= QUOTED_MAX_BYTES {
        Cow::Borrowed(field)
    } else {
        Cow::Borrowed("…")
    }
}

/// serde's path already ends with the name of an unknown field, but not of a missing one.
fn field_path(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if path == name || path.strip_suffix(name).is_some_and(|parent| parent.ends_with('.')) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn quoted<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    let rest = message.strip_prefix(start)?.strip_prefix('`')?;
    // A name may hold a backtick itself, so the end is looked for in what serde writes behind it.
    let end = rest.find("`, ").or_else(|| rest.rfind('`'))?;
    Some(&rest[..end])
}

/// `invalid type: string "x", expected u32` → `expected a whole number, found a string`. The value stays out: it may
/// be a secret, and answers are logged by clients.
fn reason(message: &str) -> String {
    if message.starts_with("unknown variant ") {
        return match message.rsplit_once("`, expected ") {
            Some((_, list)) => format!("expected {list}"),
            None => "not one of the choices".to_owned(),
        };
    }
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some(rest) = message.strip_prefix(start)
            && let Some((found, expected)) = rest.rsplit_once(", expected ")
        {
            let kind = found_kind(found);
            let expected = plain_type(expected);
            return if kind.is_empty() {
                format!("expected {expected}")
            } else {
                format!("expected {expected}, found {kind}")
            };
        }
    }
    message.trim_end_matches('.').to_owned()
}

fn found_kind(found: &str) -> &'static str {
    [
        ("string", "a string"),
        ("integer", "a whole number"),
        ("floating", "a number with a fraction"),
        ("boolean", "true or false"),
        ("null", "null"),
        ("map", "an object"),
        ("sequence", "a list"),
    ]
    .iter()
    .find_map(|(start, kind)| found.starts_with(start).then_some(*kind))
    .unwrap_or_default()
}

fn plain_type(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            "a whole number in range"
        }
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

fn without_position(message: &str) -> &str {
    match message.rsplit_once(" at line ") {
        Some((text, position)) if position.contains(" column ") => text,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, message: &str) -> (String, String, Option<String>) {
        let error = data_error(Input::Body, path, message);
        let problem = error.problem("", None);
        let field = problem.members.get("field").map(|field| field.as_str().unwrap().to_owned());
        (problem.code, problem.detail, field)
    }

    #[test]
    fn values_are_never_quoted() {
        let (code, detail, field) =
            told("a.b", "invalid type: string \"sk_live_x, expected y\", expected u32 at line 1 column 5");
        assert_eq!(
            (code.as_str(), detail.as_str()),
            ("invalid_field", "`a.b`: expected a whole number in range, found a string.")
        );
        assert_eq!(field.as_deref(), Some("a.b"));
        let (_, detail, _) = told("mode", "unknown variant `sk_live_x`, expected `live` or `test`");
        assert_eq!(detail, "`mode`: expected `live` or `test`.");
    }

    #[test]
    fn names_that_look_like_secrets_are_hidden() {
        let (_, detail, field) = told("", "unknown field `sk_live_abc`, expected `name`");
        assert!(!detail.contains("abc"));
        assert_eq!(field.as_deref(), Some("…"));
        let long = "a".repeat(QUOTED_MAX_BYTES + 1);
        assert_eq!(told("", &format!("unknown field `{long}`, expected `name`")).2.as_deref(), Some("…"));
        let fits = "a".repeat(QUOTED_MAX_BYTES);
        assert_eq!(told("", &format!("unknown field `{fits}`, expected `name`")).2, Some(fits));
    }

    #[test]
    fn nested_names_are_told_with_their_path() {
        assert_eq!(told("limits[0]", "missing field `limit`").2.as_deref(), Some("limits[0].limit"));
        assert_eq!(
            told("limits[0].x", "unknown field `x`, there are no fields").2.as_deref(),
            Some("limits[0].x")
        );
        assert_eq!(told(".", "duplicate field `name`").2.as_deref(), Some("name"));
    }
}
