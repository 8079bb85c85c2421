//! What annotations cannot say of the form of requests: a header that many operations take, bodies that may be left out but
//! are never `null`, and the form of the entries of a list. And which answers name what other operations ask for.

use serde_json::json;
use utoipa::openapi::{
    Components, Content, OpenApi, RefOr, Schema,
    link::LinkBuilder,
    path::{Operation, ParameterIn},
    schema::{ArrayItems, ObjectBuilder, OneOf, SchemaType, Type},
};

use crate::{caps::IDEMPOTENCY_KEY_MAX_BYTES, openapi::operations_mut};

/// Completes `document`.
pub(crate) fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations_mut(item) {
            describe_headers(operation);
            take_no_null(operation);
        }
    }
    if let Some(components) = &mut document.components {
        describe_entries(components);
    }
    add_links(document);
}

fn describe_headers(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if parameter.parameter_in != ParameterIn::Header {
            continue;
        }
        let text = ObjectBuilder::new().schema_type(Type::String);
        let form = match parameter.name.as_str() {
            "Idempotency-Key" => {
                text.min_length(Some(1)).max_length(Some(IDEMPOTENCY_KEY_MAX_BYTES)).pattern(Some("^[!-~]+$"))
            }
            "If-Match" => text.pattern(Some(r#"^(\*|"[0-9]{1,18}")$"#)),
            _ => continue,
        };
        parameter.schema = Some(form.into());
    }
}

/// A body that may be left out is described as one that may be `null`, which it may not.
fn take_no_null(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        let RefOr::T(Content { schema: Some(schema), .. }) = content else { continue };
        let RefOr::T(Schema::OneOf(OneOf { items, .. })) = schema else { continue };
        let mut objects = items.iter().filter(|item| !is_null(item));
        if let (Some(object), None) = (objects.next().cloned(), objects.next()) {
            *schema = object;
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}

/// Schema, list, and the form of its entries.
const ENTRIES: [(&str, &str, &str); 1] = [("LookupKeys", "locators", "^[0-9A-Za-z]{12}$")];

fn describe_entries(components: &mut Components) {
    for (schema, list, form) in ENTRIES {
        let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(schema) else { continue };
        let Some(RefOr::T(Schema::Array(array))) = object.properties.get_mut(list) else { continue };
        let entry = ObjectBuilder::new().schema_type(Type::String).pattern(Some(form));
        array.items = ArrayItems::RefOrSchema(Box::new(entry.into()));
    }
}

/// An operation, the status of its answer, where that names something, and the operations that ask for it: each with the
/// name of the parameter. Other parameters of the path are those of the first operation.
type Named = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const NAMED: [Named; 13] = [
    ("create_key", "201", "$response.body#/key/id", "id", &[
        "get_key", "patch_key", "rotate_key", "disable_key", "enable_key", "revoke_key", "compromise_key", "delete_key",
        "get_key_usage", "list_key_ledger",
    ]),
    ("rotate_key", "200", "$response.body#/key/id", "id", &["complete_rotation", "cancel_rotation"]),
    ("create_workspace", "201", "$response.body#/slug", "slug", &[
        "get_workspace", "patch_workspace", "create_key", "list_keys", "get_workspace_usage", "revoke_keys", "create_prompt",
    ]),
    ("create_operator", "201", "$response.body#/operator/id", "id", &["revoke_operator"]),
    ("revoke_key", "202", "$response.body#/operation/id", "id", &["get_operation"]),
    ("put_plan", "200", "$response.body#/name", "name", &["delete_plan"]),
    ("create_prompt", "201", "$response.body#/prompt/slug", "prompt", &[
        "get_prompt_draft", "patch_prompt", "publish_prompt", "add_prompt_context_link", "add_prompt_context_file",
        "list_prompt_context", "delete_prompt",
    ]),
    ("publish_prompt", "200", "$response.body#/prompt/slug", "prompt", &[
        "archive_prompt", "restore_prompt", "diff_prompt", "list_prompt_versions",
    ]),
    ("publish_prompt", "200", "$response.body#/version/version", "version", &[
        "get_prompt_version", "archive_prompt_version", "restore_prompt_version",
    ]),
    ("add_prompt_context_link", "201", "$response.body#/item/id", "item", &["delete_prompt_context"]),
    ("add_prompt_context_file", "201", "$response.body#/item/id", "contextId", &["get_download_url"]),
    ("create_service_account", "201", "$response.body#/id", "id", &[
        "get_service_account", "patch_service_account", "disable_service_account", "enable_service_account",
        "delete_service_account",
    ]),
    ("list_members", "200", "$response.body#/data/0/id", "id", &["get_member"]),
];

fn add_links(document: &mut OpenApi) {
    let templates: Vec<(String, String)> = document
        .paths
        .paths
        .iter_mut()
        .flat_map(|(path, item)| operations_mut(item).map(move |(_, operation)| (path, operation)))
        .map(|(path, operation)| (operation.operation_id.clone().unwrap_or_default(), path.clone()))
        .collect();
    let template = |id: &str| templates.iter().find(|(known, _)| known == id).map_or("", |(_, path)| path);
    for (_, operation) in document.paths.paths.values_mut().flat_map(operations_mut) {
        let id = operation.operation_id.clone().unwrap_or_default();
        for (from, status, place, parameter, targets) in NAMED.iter().filter(|named| named.0 == id) {
            let Some(RefOr::T(response)) = operation.responses.responses.get_mut(*status) else { continue };
            for target in *targets {
                let mut link = LinkBuilder::new().operation_id(*target).parameter(*parameter, json!(place));
                for shared in parameters(template(target)).filter(|name| name != parameter) {
                    if parameters(template(from)).any(|name| name == shared) {
                        link = link.parameter(shared, json!(format!("$request.path.{shared}")));
                    }
                }
                response.links.insert((*target).to_owned(), RefOr::T(link.build()));
            }
        }
    }
}

/// The names of the parameters of a path.
fn parameters(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::openapi_document;

    #[test]
    fn links_lead_from_answers_that_exist_to_operations_that_exist() {
        let document = serde_json::to_value(openapi_document()).unwrap();
        let operations = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values());
        let operations: Vec<_> = operations.collect();
        let ids: BTreeSet<&str> =
            operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
        for (from, status, _, _, targets) in NAMED {
            let operation = operations.iter().find(|operation| operation["operationId"] == from).unwrap();
            let links = operation["responses"][status]["links"]
                .as_object()
                .unwrap_or_else(|| panic!("{from} {status}"));
            for target in targets {
                assert!(ids.contains(target) && links.contains_key(*target), "{from} {target}");
            }
        }
    }

    #[test]
    fn bodies_are_objects_and_headers_have_a_form() {
        let text = serde_json::to_value(openapi_document()).unwrap();
        for (path, item) in text["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                assert!(schema["oneOf"].is_null(), "{path}: a body may be null");
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                for parameter in parameters.filter(|parameter| parameter["name"] == "Idempotency-Key") {
                    assert_eq!(parameter["schema"]["maxLength"], 255, "{path}");
                }
            }
        }
        let locators = &text["components"]["schemas"]["LookupKeys"]["properties"]["locators"]["items"];
        assert_eq!(locators["pattern"], "^[0-9A-Za-z]{12}$");
    }
}
