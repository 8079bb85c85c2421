//! A `curl` for each operation, as it can be pasted.

use serde_json::Value;

/// The call of `operation` with the examples of its parameters and body. The key is taken from `$KEYWRIGHT_KEY`.
pub(super) fn command(base_url: &str, method: &str, path: &str, operation: &Value) -> String {
    let mut address = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "path" {
            let name = parameter["name"].as_str().unwrap_or_default();
            let example = parameter["example"].as_str().unwrap_or("NAME");
            address = address.replace(&format!("{{{name}}}"), example);
        }
    }
    let mut lines = vec![match method {
        "get" => format!("curl {base_url}{address}"),
        _ => format!("curl -X {} {base_url}{address}", method.to_uppercase()),
    }];
    let is_public = operation["security"]
        .as_array()
        .is_some_and(|needed| needed.iter().all(|one| one == &serde_json::json!({})));
    if !is_public {
        lines.push("  -H \"Authorization: Bearer $KEYWRIGHT_KEY\"".to_owned());
    }
    lines.extend(body(&operation["requestBody"]["content"]));
    lines.join(" \\\n")
}

fn body(content: &Value) -> Vec<String> {
    let example = &content["application/json"]["example"];
    if example.is_object() {
        let text = example.to_string().replace('\'', "'\\''");
        return vec!["  -H \"Content-Type: application/json\"".to_owned(), format!("  -d '{text}'")];
    }
    let form = content["application/x-www-form-urlencoded"]["example"].as_object();
    let fields = form.into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_str()?)));
    fields.map(|(name, value)| format!("  --data-urlencode '{name}={value}'")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quotes_survive_the_shell() {
        let operation = json!({
            "parameters": [{"in": "path", "name": "slug", "example": "acme"}],
            "requestBody": {"content": {"application/json": {"example": {"reason": "it's out"}}}},
        });
        insta::assert_snapshot!(command("https://keys.example", "post", "/v1/{slug}/x", &operation), @r#"
        curl -X POST https://keys.example/v1/acme/x \
          -H "Authorization: Bearer $KEYWRIGHT_KEY" \
          -H "Content-Type: application/json" \
          -d '{"reason":"it'\''s out"}'
        "#);
    }

    #[test]
    fn public_operations_need_no_key() {
        let operation = json!({"security": [{}]});
        assert_eq!(command("", "get", "/v1/x", &operation), "curl /v1/x");
    }
}
