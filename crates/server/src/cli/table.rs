//! Tables and field lists for people, made from the server's JSON.

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde_json::Value;

use super::console::printable;

/// One column: its heading, and where its value is (a JSON pointer, RFC 6901).
pub(crate) struct Column {
    /// The heading.
    pub(crate) title: &'static str,
    /// The pointer.
    pub(crate) pointer: &'static str,
}

/// Writes columns as `(heading, pointer)` pairs.
pub(crate) const fn column(title: &'static str, pointer: &'static str) -> Column {
    Column { title, pointer }
}

/// A table of `rows`. As wide as the terminal, or as needed when standard output is none.
pub(crate) fn table(columns: &[Column], rows: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| Cell::new(column.title)));
    for row in rows {
        table.add_row(
            columns
                .iter()
                .map(|column| Cell::new(row.pointer(column.pointer).map_or_else(|| "-".to_owned(), text))),
        );
    }
    table.trim_fmt()
}

/// The fields of one object, a line each: `name  value`. Fields in `first` come first, in that order.
pub(crate) fn fields(object: &Value, first: &[&str]) -> String {
    let Value::Object(map) = object else {
        return text(object);
    };
    let mut names: Vec<&str> = first.iter().copied().filter(|name| map.contains_key(*name)).collect();
    names.extend(map.keys().map(String::as_str).filter(|name| !first.contains(name)));
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for name in names {
        match &map[name] {
            // A list of objects: a line for each.
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (position, item) in items.iter().enumerate() {
                    let name = if position == 0 { printable(name) } else { String::new() };
                    lines.push(format!("{name:width$}  {}", text(item)));
                }
            }
            value => lines.push(format!("{:width$}  {}", printable(name), text(value))),
        }
    }
    lines.join("\n")
}

/// One value in a cell.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(string) => printable(&short_time(string)),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(map) if map.is_empty() => "-".to_owned(),
        Value::Object(map) if map.contains_key("window_seconds") => limit(map),
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{}={}", printable(name), text(value)))
                .collect();
            parts.join(" ")
        }
    }
}

/// A limit as it is written on the command line: `minute=1000/60s`.
fn limit(map: &serde_json::Map<String, Value>) -> String {
    let member = |name: &str| map.get(name).map_or_else(String::new, text);
    let smooth = if member("algorithm") == "smooth" { ":smooth" } else { "" };
    format!("{}={}/{}s{smooth}", member("name"), member("limit"), member("window_seconds"))
}

/// `2026-11-21T06:00:00.123Z` as `2026-11-21 06:00:00Z`; any other text as it is.
fn short_time(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_time = bytes.len() == 24
        && bytes[10] == b'T'
        && bytes[19] == b'.'
        && bytes[23] == b'Z'
        && bytes[..4].iter().all(u8::is_ascii_digit);
    if is_time { format!("{} {}Z", &text[..10], &text[11..19]) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned_and_safe() {
        let rows = [
            json!({"id": "key_1", "name": "web\u{1b}[2J", "secrets": [{"hint": "sk_live_a…b"}], "expires_at": null}),
            json!({"id": "key_22", "name": "ci", "expires_at": "2026-11-21T06:00:00.123Z"}),
        ];
        let columns = [
            column("ID", "/id"),
            column("NAME", "/name"),
            column("HINT", "/secrets/0/hint"),
            column("EXPIRES", "/expires_at"),
        ];
        let text = table(&columns, &rows);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines[0].starts_with("ID") && lines[0].ends_with("EXPIRES"), "{text}");
        assert!(lines[1].contains("web\\u{1b}[2J") && lines[1].ends_with('-'), "{text}");
        assert!(lines[2].ends_with("2026-11-21 06:00:00Z"), "{text}");
        assert_eq!(lines[1].find("web"), lines[2].find("ci"));
    }

    #[test]
    fn a_list_of_objects_has_a_line_for_each() {
        let object = json!({
            "checks": [{"check": "format"}, {"check": "secret"}],
            "limits": [{"name": "minute", "limit": 10, "window_seconds": 60, "algorithm": "smooth"}],
        });
        let expected = "checks  check=format\n        check=secret\nlimits  minute=10/60s:smooth";
        assert_eq!(fields(&object, &[]), expected);
    }

    #[test]
    fn fields_in_order() {
        let object = json!({"a": 1, "id": "key_1", "tags": ["x", "y"], "empty": {}, "on": true, "o": {"b": 2, "c": null}});
        assert_eq!(
            fields(&object, &["id"]),
            "id     key_1\na      1\nempty  -\no      b=2\non     yes\ntags   x, y"
        );
    }
}
