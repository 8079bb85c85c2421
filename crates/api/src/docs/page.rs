//! The document as one HTML page.

use std::fmt::Write as _;

use serde_json::Value;

use super::{curl, resolve};

/// The page about `document`.
pub(super) fn render(document: &Value, base_url: &str, style: &str) -> String {
    let mut page = Page { document, base_url, html: String::with_capacity(1 << 18) };
    page.head(style);
    page.contents();
    page.html.push_str("<main>\n");
    page.markdown(document["info"]["description"].as_str().unwrap_or_default());
    for tag in document["tags"].as_array().into_iter().flatten() {
        page.tag(tag);
    }
    page.schemas();
    page.html.push_str("</main>\n</body>\n</html>\n");
    page.html
}

struct Page<'a> {
    document: &'a Value,
    base_url: &'a str,
    html: String,
}

/// An operation with its place.
struct Place<'a> {
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
}

impl Place<'_> {
    fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap_or_default()
    }
}

impl<'a> Page<'a> {
    fn head(&mut self, style: &str) {
        let title = escape(self.document["info"]["title"].as_str().unwrap_or_default());
        let version = escape(self.document["info"]["version"].as_str().unwrap_or_default());
        let _infallible = write!(
            self.html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} API</title>\n<style>{style}</style>\n</head>\n<body>\n\
             <header><h1>{title} API</h1><p>Version {version} · <a href=\"/openapi.json\">openapi.json</a> · \
             <a href=\"/errors\">Error codes</a></p></header>\n"
        );
    }

    fn contents(&mut self) {
        self.html.push_str("<nav aria-label=\"Contents\">\n");
        for tag in self.document["tags"].as_array().into_iter().flatten() {
            let places = self.places(tag);
            if places.is_empty() {
                continue;
            }
            let name = escape(tag["name"].as_str().unwrap_or_default());
            let _infallible = writeln!(self.html, "<details open><summary>{name}</summary><ul>");
            for place in places {
                let summary = escape(place.operation["summary"].as_str().unwrap_or_default());
                let _infallible = writeln!(self.html, "<li><a href=\"#{}\">{summary}</a></li>", place.id());
            }
            self.html.push_str("</ul></details>\n");
        }
        self.html.push_str("<p><a href=\"#schemas\">Schemas</a></p>\n</nav>\n");
    }

    /// The operations under a tag, by path.
    fn places(&self, tag: &Value) -> Vec<Place<'a>> {
        let document: &'a Value = self.document;
        let paths = document["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            operations.map(move |(method, operation)| Place { method, path, operation })
        });
        all.filter(|place| place.operation["tags"].as_array().is_some_and(|tags| tags.contains(&tag["name"])))
            .collect()
    }

    fn tag(&mut self, tag: &Value) {
        let places = self.places(tag);
        if places.is_empty() {
            return;
        }
        let name = escape(tag["name"].as_str().unwrap_or_default());
        let _infallible = writeln!(self.html, "<h2>{name}</h2>");
        self.markdown(tag["description"].as_str().unwrap_or_default());
        for place in places {
            self.operation(&place);
        }
    }

    fn operation(&mut self, place: &Place<'_>) {
        let (id, operation) = (place.id(), place.operation);
        let summary = escape(operation["summary"].as_str().unwrap_or_default());
        let (method, path) = (place.method.to_uppercase(), escape(place.path));
        let _infallible = write!(
            self.html,
            "<section id=\"{id}\">\n<h3><a href=\"#{id}\">{summary}</a></h3>\n\
             <p class=\"route\"><code><b class=\"{}\">{method}</b> {path}</code></p>\n",
            place.method
        );
        self.markdown(operation["description"].as_str().unwrap_or_default());
        self.parameters(operation);
        self.request_body(operation);
        let command = curl::command(self.base_url, place.method, place.path, operation);
        let _infallible =
            writeln!(self.html, "<h4>Try it</h4>\n<pre><code>{}</code></pre>", escape(&command));
        self.responses(operation);
        self.html.push_str("</section>\n");
    }

    fn parameters(&mut self, operation: &Value) {
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        if parameters.is_empty() {
            return;
        }
        self.html.push_str("<h4>Parameters</h4>\n<table><thead><tr><th>Name</th><th>In</th><th>Type</th><th>Meaning</th></tr></thead><tbody>\n");
        for parameter in parameters {
            let name = escape(parameter["name"].as_str().unwrap_or_default());
            let place = escape(parameter["in"].as_str().unwrap_or_default());
            let required = if parameter["required"] == true { " <em>required</em>" } else { "" };
            let kind = kind(&parameter["schema"]);
            let text = inline(parameter["description"].as_str().unwrap_or_default());
            let _infallible = writeln!(
                self.html,
                "<tr><td><code>{name}</code>{required}</td><td>{place}</td><td>{kind}</td><td>{text}</td></tr>"
            );
        }
        self.html.push_str("</tbody></table>\n");
    }

    fn request_body(&mut self, operation: &Value) {
        let contents = operation["requestBody"]["content"].as_object();
        for (media_type, content) in contents.into_iter().flatten() {
            let optional =
                if operation["requestBody"]["required"] == true { "" } else { ", may be left out" };
            let _infallible = writeln!(
                self.html,
                "<h4>Body <small><code>{}</code>{optional}</small></h4>",
                escape(media_type)
            );
            self.fields(&content["schema"]);
        }
    }

    /// A table of the fields of an object, or a link to its schema.
    fn fields(&mut self, schema: &Value) {
        let mut choices = schema["oneOf"].as_array().into_iter().flatten();
        let schema = choices.rfind(|choice| choice["type"] != "null").unwrap_or(schema);
        let target = schema["$ref"].as_str().and_then(|reference| resolve(self.document, reference));
        let schema = target.unwrap_or(schema);
        let Some(properties) = schema["properties"].as_object() else { return };
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.html
            .push_str("<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>\n");
        for (name, property) in properties {
            let mark = if required.iter().any(|one| one == name) { " <em>required</em>" } else { "" };
            let _infallible = writeln!(
                self.html,
                "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}</td></tr>",
                escape(name),
                kind(property),
                inline(description(property))
            );
        }
        self.html.push_str("</tbody></table>\n");
    }

    fn responses(&mut self, operation: &Value) {
        self.html.push_str("<h4>Answers</h4>\n");
        let responses = operation["responses"].as_object().into_iter().flatten();
        let (good, problems): (Vec<_>, Vec<_>) = responses.partition(|(status, _)| status.starts_with('2'));
        for (status, response) in good {
            let text = inline(response["description"].as_str().unwrap_or_default());
            let _infallible = writeln!(self.html, "<p><b>{}</b> {text}</p>", escape(status));
            let example = &response["content"]["application/json"]["example"];
            if !example.is_null() {
                let example = serde_json::to_string_pretty(example).expect("JSON can be written");
                let _infallible = writeln!(self.html, "<pre><code>{}</code></pre>", escape(&example));
            }
        }
        self.html.push_str("<details><summary>Problems</summary>\n<table><tbody>\n");
        for (status, response) in problems {
            let text = inline(response["description"].as_str().unwrap_or_default());
            let _infallible = writeln!(self.html, "<tr><td>{}</td><td>{text}</td></tr>", escape(status));
        }
        self.html.push_str("</tbody></table>\n</details>\n");
    }

    fn schemas(&mut self) {
        self.html.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
        let schemas = self.document["components"]["schemas"].as_object();
        for (name, schema) in schemas.into_iter().flatten() {
            let name = escape(name);
            let _infallible = writeln!(self.html, "<section id=\"schema-{name}\">\n<h3>{name}</h3>");
            self.markdown(schema["description"].as_str().unwrap_or_default());
            let values: Vec<_> =
                schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if !values.is_empty() {
                let _infallible =
                    writeln!(self.html, "<p>One of <code>{}</code>.</p>", escape(&values.join(", ")));
            }
            for part in schema["allOf"].as_array().into_iter().flatten() {
                self.fields(part);
            }
            self.fields(schema);
            self.html.push_str("</section>\n");
        }
    }

    fn markdown(&mut self, text: &str) {
        pulldown_cmark::html::push_html(&mut self.html, pulldown_cmark::Parser::new(text));
    }
}

/// The description of a schema; of a choice, that of the first one that has any.
fn description(schema: &Value) -> &str {
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let mut candidates = std::iter::once(schema).chain(choices);
    candidates.find_map(|candidate| candidate["description"].as_str()).unwrap_or_default()
}

/// One paragraph of Markdown without the paragraph.
fn inline(text: &str) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(text));
    let html = html.trim();
    html.strip_prefix("<p>").and_then(|html| html.strip_suffix("</p>")).unwrap_or(html).to_owned()
}

/// The type of a schema in words, with links to other schemas.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escape(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let kinds: Vec<String> = choices.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    let plain = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec!["object"],
    };
    let words = plain.iter().map(|word| match *word {
        "array" => format!("list of {}", kind(&schema["items"])),
        other => escape(other),
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_in_words() {
        for (schema, expected) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["integer", "null"]}), "integer or null"),
            (
                json!({"type": "array", "items": {"$ref": "#/components/schemas/Key"}}),
                "list of <a href=\"#schema-Key\">Key</a>",
            ),
            (
                json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Time"}]}),
                "null or <a href=\"#schema-Time\">Time</a>",
            ),
        ] {
            assert_eq!(kind(&schema), expected);
        }
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        assert_eq!(inline("a `b<c>`"), "a <code>b&lt;c&gt;</code>");
    }
}
