//! Examples of answers, made from their schemas.

use serde_json::{Map, Value, json};

use super::resolve;

/// Schemas within schemas that are followed.
const DEPTH_MAX: usize = 8;

/// A value that `schema` describes: its own examples where it has some.
pub(crate) fn sample(document: &Value, schema: &Value) -> Value {
    at_depth(document, schema, 0)
}

fn at_depth(document: &Value, schema: &Value, depth: usize) -> Value {
    let given = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema["enum"].get(0));
    if let Some(given) = given {
        return given.clone();
    }
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(target) = schema["$ref"].as_str().and_then(|reference| resolve(document, reference)) {
        return at_depth(document, target, depth + 1);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(members) = at_depth(document, part, depth + 1) {
                whole.extend(members);
            }
        }
        return Value::Object(whole);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return of_choices(document, choices, depth);
    }
    of_type(document, schema, depth)
}

/// Fields that may be absent or null are shown as null: most are, most of the time.
fn of_choices(document: &Value, choices: &[Value], depth: usize) -> Value {
    if choices.iter().any(|choice| choice["type"] == "null") {
        return Value::Null;
    }
    choices.first().map_or(Value::Null, |choice| at_depth(document, choice, depth + 1))
}

fn of_type(document: &Value, schema: &Value, depth: usize) -> Value {
    let kind = match &schema["type"] {
        Value::Array(kinds) if kinds.iter().any(|kind| kind == "null") => "null",
        Value::String(kind) => kind,
        _ => "object",
    };
    match kind {
        "object" => {
            let properties = schema["properties"].as_object();
            let members = properties.into_iter().flatten();
            Value::Object(
                members.map(|(name, schema)| (name.clone(), at_depth(document, schema, depth + 1))).collect(),
            )
        }
        "array" => json!([at_depth(document, &schema["items"], depth + 1)]),
        "string" => json!("…"),
        "integer" => json!(1),
        "number" => json!(0.5),
        "boolean" => json!(false),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_schema() {
        let document = json!({"components": {"schemas": {
            "Name": {"type": "string", "enum": ["first", "second"]},
            "Loop": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Loop"}}},
        }}});
        for (schema, expected) in [
            (json!({"type": "string", "example": "x"}), json!("x")),
            (json!({"type": "string", "examples": ["y"]}), json!("y")),
            (json!({"$ref": "#/components/schemas/Name"}), json!("first")),
            (json!({"type": "array", "items": {"type": "integer"}}), json!([1])),
            (json!({"type": ["string", "null"]}), json!(null)),
            (json!({"oneOf": [{"type": "null"}, {"type": "string"}]}), json!(null)),
            (
                json!({"allOf": [{"properties": {"a": {"type": "boolean"}}}, {"properties": {"b": {"type": "number"}}}]}),
                json!({"a": false, "b": 0.5}),
            ),
        ] {
            assert_eq!(sample(&document, &schema), expected, "{schema}");
        }
        assert!(sample(&document, &json!({"$ref": "#/components/schemas/Loop"})).is_object());
    }
}
