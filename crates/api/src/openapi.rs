//! The OpenAPI document: what the endpoints' annotations do not say themselves.
//!
//! Every endpoint names the problems that only it has ([`problems!`]); those that come with a credential, a body, a
//! query string or a change are added here, so that none is forgotten.

use std::{collections::BTreeMap, marker::PhantomData};

use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{
        Components, Content, HeaderBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr,
        Response, ResponseBuilder,
        example::ExampleBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{
    docs::sample,
    error::{ApiError, ErrorCode, Problem},
    openapi_forms,
};

const DESCRIPTION: &str = "\
Issue, verify, limit, rotate and revoke API keys.

**Credentials.** `Authorization: Bearer <key>` or `X-API-Key: <key>`. Operator credentials (`ok_…`) act on the \
installation, workspace keys (`sk_…`) on their workspace, within their permissions, sessions (`kss_…`, or the session's \
cookie) as the signed-in user, in each workspace within the permissions of their membership.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`; `/errors/<code>` explains each.

**Lists** take `limit` (1 to 100) and `cursor`, and answer `{\"data\", \"cursor\", \"has_more\"}`.

**Changes** that take something away are answered when no node goes by the state before, or, after the time that \
`Prefer: wait=<seconds>` gives (40 unless given), with 202 and an operation to follow. Every change answers its `sequence`, \
which a verification can name as `min_seq`.\n\n\
**Repeats.** Send `Idempotency-Key` with a POST that creates or rotates: a repeat has no second effect and answers \
409 `already_applied`. Secrets are shown once and never again.";

const TAGS: [(&str, &str); 17] = [
    ("Keys", "API keys: create, change, rotate, revoke."),
    ("Verification", "Is this key good, for this?"),
    ("Prompts", "The protected API: prompts with versions, files and links."),
    ("Usage", "What keys are used for: sums and the access ledger."),
    ("Redaction", "Texts without e-mail addresses, phone numbers, cards and keys."),
    ("Credits", "Prepaid balances: grant, refill, reserve, commit, refund."),
    ("Audit", "Who changed what: a hash chain with signed checkpoints."),
    ("Workspaces", "The tenants of the installation."),
    (
        "Members",
        "People in a workspace: roles, permissions, ownership, and what becomes of keys when somebody leaves.",
    ),
    ("Service accounts", "Accounts that own keys without being a person."),
    ("Permissions", "The permission catalogue."),
    ("Plans", "Named sets of rate limits."),
    ("Accounts", "People who sign in: their sessions."),
    ("Operators", "Credentials of the operator, and the first set-up."),
    ("Privacy", "What is kept of people: export and erasure."),
    ("Operations", "Changes that some nodes may not go by yet."),
    ("Service", "Documents about the interface itself."),
];

/// The document before the endpoints are added.
pub(crate) fn base() -> OpenApi {
    let mut components = Components::new();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A key (`sk_live_…`, `sk_test_…`), an operator credential (`ok_…`) or a session (`kss_…`).",
        ))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let header = ApiKeyValue::with_description("X-API-Key", "The same secret in a header of its own.");
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(header)));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Keywright")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION)),
        )
        .tags(Some(TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build())))
        .components(Some(components))
        .security(Some([
            SecurityRequirement::new("bearer", [""; 0]),
            SecurityRequirement::new("api_key", [""; 0]),
        ]))
        .build()
}

/// Names the problems that only this endpoint has, as the type `Problems` for its `responses(…)`.
macro_rules! problems {
    ($($code:ident),* $(,)?) => {
        /// What else this endpoint can answer.
        pub(crate) struct Problems;

        impl utoipa::IntoResponses for Problems {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
            > {
                $crate::openapi::problem_responses(&[$($crate::error::ErrorCode::$code),*])
            }
        }
    };
}
pub(crate) use problems;

/// The answer 202 of an endpoint whose answer is a `T`: the change is made, and some nodes may not go by it yet.
pub(crate) struct Accepted<T>(PhantomData<T>);

impl<T: ToSchema> utoipa::IntoResponses for Accepted<T> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = Content::new(Some(Ref::from_schema_name(T::name())));
        let location = HeaderBuilder::new().description(Some("Where to ask on.")).build();
        let response = ResponseBuilder::new()
            .description(
                "The change is made, and can not be undone by waiting no longer; some nodes may not go by it yet. \
                 As with 200, but with `operation` instead of `effective`.",
            )
            .header("Location", location)
            .content("application/json", content);
        BTreeMap::from([("202".to_owned(), RefOr::T(response.build()))])
    }
}

/// The responses for these codes, by status.
pub(crate) fn problem_responses(codes: &[ErrorCode]) -> BTreeMap<String, RefOr<Response>> {
    let mut responses = BTreeMap::new();
    for code in codes {
        add_problem(&mut responses, *code);
    }
    responses
}

/// Any request. `rate_limited`: also one without a credential, by its address.
const ALWAYS: &[ErrorCode] = &[
    ErrorCode::CredentialInUrl,
    ErrorCode::RequestTimeout,
    ErrorCode::RateLimited,
    ErrorCode::InternalError,
];
/// A request with a credential.
const AUTHENTICATED: &[ErrorCode] = &[
    ErrorCode::MissingCredentials,
    ErrorCode::MissingBearerPrefix,
    ErrorCode::MalformedKey,
    ErrorCode::InvalidKey,
    ErrorCode::InvalidSession,
    ErrorCode::CsrfTokenRequired,
    ErrorCode::RevokedKey,
    ErrorCode::ExpiredKey,
    ErrorCode::DisabledKey,
    ErrorCode::IpNotAllowed,
    ErrorCode::WorkspaceSuspended,
    ErrorCode::InsufficientPermissions,
    ErrorCode::DuplicateHeader,
    ErrorCode::ConflictingCredentials,
    ErrorCode::InvalidIdempotencyKey,
    ErrorCode::TooManyFailedAttempts,
    ErrorCode::Unavailable,
    ErrorCode::StaleVerifier,
    ErrorCode::Revoking,
    ErrorCode::StoreUnavailable,
];
/// A request with a path parameter.
const ADDRESSED: &[ErrorCode] = &[ErrorCode::NotFound, ErrorCode::InvalidUtf8];
/// A request with a query string.
const QUERIED: &[ErrorCode] = &[ErrorCode::InvalidQuery, ErrorCode::InvalidUtf8];
/// A request with a body.
const WITH_BODY: &[ErrorCode] = &[
    ErrorCode::InvalidJson,
    ErrorCode::InvalidUtf8,
    ErrorCode::UnknownField,
    ErrorCode::MissingField,
    ErrorCode::InvalidField,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
];
/// A request that changes something.
const CHANGING: &[ErrorCode] =
    &[ErrorCode::StoreUnavailable, ErrorCode::CommitUnknown, ErrorCode::StorageFull];

/// Adds to every operation the problems that come with what it is, and the schema of problems.
pub(crate) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert(
        <Problem as utoipa::ToSchema>::name().into_owned(),
        <Problem as utoipa::PartialSchema>::schema(),
    );
    for item in document.paths.paths.values_mut() {
        for (method, operation) in operations_mut(item) {
            let is_query = method == "get"
                || operation.operation_id.as_deref().is_some_and(|id| QUESTIONS.contains(&id));
            complete_operation(operation, is_query);
        }
    }
    openapi_forms::complete(document);
    add_examples(document);
}

/// Operations that are no GET and change nothing all the same.
const QUESTIONS: [&str; 4] = ["lookup_keys", "verify_key", "introspect_key", "redact_text"];

fn complete_operation(operation: &mut Operation, is_question: bool) {
    let is_public = operation.security.as_ref().is_some_and(|needed| needed.iter().all(is_no_requirement));
    let parameters = operation.parameters.clone().unwrap_or_default();
    let has = |place: &ParameterIn| {
        parameters.iter().any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.parameter_in == *place,
            RefOr::Ref(_) => false,
        })
    };
    let groups = [
        (true, ALWAYS),
        (!is_public, AUTHENTICATED),
        (has(&ParameterIn::Path), ADDRESSED),
        (has(&ParameterIn::Query), QUERIED),
        (operation.request_body.is_some(), WITH_BODY),
        (!is_question, CHANGING),
    ];
    if operation.responses.responses.contains_key("202") {
        let prefer = ParameterBuilder::new()
            .name("Prefer")
            .parameter_in(ParameterIn::Header)
            .description(Some(
                "`wait=<seconds>`, 0 to 400: how long to wait for all nodes (RFC 7240); 40 unless given.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        operation.parameters.get_or_insert_with(Vec::new).push(RefOr::T(prefer.build()));
    }
    // Whatever may exhaust a quota is limited, and says so in every answer.
    let is_limited = operation.responses.responses.values().any(
        |response| matches!(response, RefOr::T(response) if names_code(response, ErrorCode::QuotaExceeded)),
    );
    for code in groups.iter().filter(|(applies, _)| *applies).flat_map(|(_, codes)| *codes) {
        add_problem(&mut operation.responses.responses, *code);
    }
    if is_limited {
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                describe_limit_headers(response);
            }
        }
    }
}

/// The limit headers of an answer, as [`crate::limit_note`] and the hot routes write them.
const LIMIT_HEADERS: [(&str, &str); 5] = [
    ("X-RateLimit-Limit", "Cost units per window, of the window with the least left."),
    ("X-RateLimit-Remaining", "Cost units left in it."),
    ("X-RateLimit-Reset", "When it ends or has refilled, in seconds since the Unix epoch."),
    ("RateLimit", "Every window: what is left and for how long (draft-ietf-httpapi-ratelimit-headers)."),
    ("RateLimit-Policy", "Every window: its size and length."),
];

fn describe_limit_headers(response: &mut Response) {
    for (name, text) in LIMIT_HEADERS {
        let header = HeaderBuilder::new().description(Some(text)).build();
        response.headers.entry(name.to_owned()).or_insert(RefOr::T(header));
    }
}

fn names_code(response: &Response, code: ErrorCode) -> bool {
    response.content.get(PROBLEM_TYPE).is_some_and(
        |content| matches!(content, RefOr::T(content) if content.examples.contains_key(code.slug())),
    )
}

fn is_no_requirement(requirement: &SecurityRequirement) -> bool {
    *requirement == SecurityRequirement::default()
}

/// The operations of a path, by method in lower case.
pub(crate) fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// Gives every answer in JSON an example, made from its schema, unless it has one.
fn add_examples(document: &mut OpenApi) {
    let value = serde_json::to_value(&*document).expect("the document is JSON");
    let operations = document.paths.paths.values_mut().flat_map(operations_mut);
    for response in operations.flat_map(|(_, operation)| operation.responses.responses.values_mut()) {
        let RefOr::T(response) = response else { continue };
        let Some(RefOr::T(content)) = response.content.get_mut("application/json") else { continue };
        if content.example.is_none() && content.examples.is_empty() {
            let schema = serde_json::to_value(&content.schema).expect("a schema is JSON");
            content.example = Some(sample(&value, &schema));
        }
    }
}

const PROBLEM_TYPE: &str = "application/problem+json";

/// Adds `code` to the response with its status, as one more example.
fn add_problem(responses: &mut BTreeMap<String, RefOr<Response>>, code: ErrorCode) {
    let response = responses
        .entry(code.status().as_u16().to_string())
        .or_insert_with(|| RefOr::T(ResponseBuilder::new().content(PROBLEM_TYPE, problem_content()).build()));
    let RefOr::T(response) = response else { return };
    let content =
        response.content.entry(PROBLEM_TYPE.to_owned()).or_insert_with(|| RefOr::T(problem_content()));
    let RefOr::T(content) = content else { return };
    let example = ExampleBuilder::new()
        .summary(code.title())
        .value(Some(json!(ApiError::new(code).problem("", Some("req_01k9zq3v4w5x6y7z8a9b0c1d2e")))));
    content.examples.insert(code.slug().to_owned(), RefOr::T(example.build()));
    let codes: Vec<String> =
        content.examples.keys().map(|slug| format!("[`{slug}`](/errors/{slug})")).collect();
    response.description = codes.join(", ");
}

fn problem_content() -> Content {
    Content::new(Some(Ref::from_schema_name("Problem")))
}
