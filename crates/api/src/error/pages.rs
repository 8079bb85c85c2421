//! The pages about the error codes: `/errors` and `/errors/<code>`, as HTML or, on request, as Markdown.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::{ApiError, ErrorCode};

const STYLE: &str = include_str!("page.css");

/// Allows the one style sheet that is inside the page, and nothing else.
static CONTENT_SECURITY_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
    .expect("base64 is visible ASCII")
});

/// The routes of the pages.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/errors", get(index)).route("/errors/{code}", get(page))
}

async fn index(headers: HeaderMap) -> Response {
    respond(&headers, "Error codes", &index_markdown())
}

async fn page(Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let as_file = slug.strip_suffix(".md");
    let code = ErrorCode::from_slug(as_file.unwrap_or(&slug)).ok_or_else(|| {
        ApiError::with_detail(
            ErrorCode::NotFound,
            "There is no such error code. `/errors` lists all of them.",
        )
    })?;
    if as_file.is_some() {
        return Ok(markdown_response(code.page_markdown().to_owned()));
    }
    Ok(respond(&headers, code.title(), code.page_markdown()))
}

fn respond(headers: &HeaderMap, title: &str, markdown: &str) -> Response {
    if wants_markdown(headers) {
        return markdown_response(markdown.to_owned());
    }
    let mut response = html_document(title, markdown).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.clone());
    cacheable(headers);
    response
}

fn markdown_response(markdown: String) -> Response {
    let mut response = markdown.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8"));
    cacheable(headers);
    response
}

fn cacheable(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
}

/// Markdown goes to those who name it and do not also name HTML, as browsers do.
fn wants_markdown(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let names = |media_type: &str| {
        accept
            .split(',')
            .any(|entry| entry.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type))
    };
    (names("text/markdown") || names("text/plain")) && !names("text/html")
}

/// A complete page around `markdown`, which must be Keywright's own text: HTML in it is not escaped.
fn html_document(title: &str, markdown: &str) -> String {
    let mut body = String::with_capacity(markdown.len() * 2);
    let options = pulldown_cmark::Options::ENABLE_TABLES;
    pulldown_cmark::html::push_html(&mut body, pulldown_cmark::Parser::new_ext(markdown, options));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Keywright</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><nav><a href=\"/errors\">All error codes</a> · <a href=\"/docs\">API reference</a></nav></header>\n\
         <main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn index_markdown() -> String {
    let mut text = String::from(
        "# Error codes\n\nEvery error answer is `application/problem+json` with a stable `code`. Decide by the code, \
         show `error` to people, and name `request_id` to support.\n\n| Code | Status | Try again? | Meaning |\n|---|---|---|---|\n",
    );
    for &code in ErrorCode::ALL {
        let slug = code.slug();
        let again = if code.is_retryable() { "later" } else { "no" };
        writeln!(
            text,
            "| [`{slug}`](/errors/{slug}) | {} | {again} | {} |",
            code.status().as_u16(),
            code.default_detail()
        )
        .expect("writing to a String can not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn docs_directory() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
    }

    #[test]
    fn every_page_has_a_code_and_every_code_a_page() {
        let pages: BTreeSet<_> = std::fs::read_dir(docs_directory())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let codes: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| format!("{}.md", code.slug())).collect();
        assert_eq!(pages, codes);
    }

    #[test]
    fn every_page_says_what_happened_how_to_fix_it_and_what_goes_wrong_often() {
        for &code in ErrorCode::ALL {
            let page = code.page_markdown();
            let title = format!("# `{}`: {}\n", code.slug(), code.title());
            assert!(page.starts_with(&title), "{code:?} must begin with {title}");
            let mut rest = page;
            for heading in
                ["## What happened\n", "## How to fix\n", "## Common mistakes\n", "## Example response\n"]
            {
                let (_, after) =
                    rest.split_once(heading).unwrap_or_else(|| panic!("{code:?} lacks {heading}"));
                let text = after.split("\n## ").next().unwrap();
                assert!(text.trim().len() > 20, "{code:?}: {heading} is empty");
                rest = after;
            }
        }
    }

    #[test]
    fn the_example_of_every_page_agrees_with_the_table() {
        for &code in ErrorCode::ALL {
            let (_, after) = code.page_markdown().split_once("```json\n").expect("an example");
            let (example, _) = after.split_once("```").expect("the end of the example");
            let example: serde_json::Value = serde_json::from_str(example).unwrap();
            let detail = example["detail"].as_str().unwrap().to_owned();
            let rendered = ApiError::with_detail(code, detail)
                .problem("https://keys.example.com", example["request_id"].as_str());
            let rendered = serde_json::to_value(rendered).unwrap();
            for member in super::super::Problem::MEMBERS {
                assert_eq!(example[member], rendered[member], "{code:?}: {member}");
            }
        }
    }

    #[test]
    fn links_between_pages_lead_somewhere() {
        for &code in ErrorCode::ALL {
            for link in code.page_markdown().split("](/errors/").skip(1) {
                let slug = link.split(')').next().unwrap();
                assert!(ErrorCode::from_slug(slug).is_some(), "{code:?} links to {slug}");
            }
        }
    }

    #[test]
    fn text_of_the_pages_is_escaped() {
        let page = html_document("t", ErrorCode::MissingCredentials.page_markdown());
        assert!(page.contains("<h2>How to fix</h2>") && page.contains("Bearer &lt;key&gt;"));
        assert!(!page.contains("<key>") && !page.contains("<script"));
    }

    #[test]
    fn browsers_get_html_and_tools_markdown() {
        for (accept, expected) in [
            (None, false),
            (Some("*/*"), false),
            (Some("text/markdown"), true),
            (Some("Text/Markdown;q=0.9, */*;q=0.1"), true),
            (Some("text/html, text/markdown"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert("accept", HeaderValue::from_static(accept));
            }
            assert_eq!(wants_markdown(&headers), expected, "{accept:?}");
        }
    }
}
