//! The pages for people: set-up, sign-in, invitation, recovery, account.
//!
//! Plain documents with scripts of their own server, which talk to the API as any client does: there is no way to write that is
//! theirs. One-time tokens are behind the `#` of links, which browsers do not send: they reach no log of any proxy.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

const SHELL: &str = include_str!("shell.html");

/// Nothing but what this server sends may run or be shown, and it may talk to this server only. Forms are sent by scripts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// A page: where it is, the name of its script, its title, and what it shows.
struct Page {
    path: &'static str,
    name: &'static str,
    title: &'static str,
    main: &'static str,
}

macro_rules! page {
    ($path:literal, $name:literal, $title:literal) => {
        Page { path: $path, name: $name, title: $title, main: include_str!(concat!($name, ".html")) }
    };
}

const PAGES: &[Page] = &[
    page!("/setup", "setup", "Set-up"),
    page!("/sign-in", "sign_in", "Sign in"),
    page!("/invite", "invite", "Invitation"),
    page!("/recover", "recover", "Recover your account"),
    page!("/account", "account", "Your account"),
];

macro_rules! asset {
    ($name:literal, $kind:literal) => {
        (concat!("/ui/", $name), concat!($kind, "; charset=utf-8"), include_str!(concat!("assets/", $name)))
    };
}

/// What pages load: address, type, text.
const ASSETS: &[(&str, &str, &str)] = &[
    asset!("keywright.css", "text/css"),
    asset!("keywright.js", "text/javascript"),
    asset!("setup.js", "text/javascript"),
    asset!("sign_in.js", "text/javascript"),
    asset!("invite.js", "text/javascript"),
    asset!("recover.js", "text/javascript"),
    asset!("account.js", "text/javascript"),
];

/// The routes of all pages and of what they load.
pub(crate) fn routes() -> Router {
    let pages = PAGES.iter().fold(Router::new(), |router, page| {
        let text = page.render();
        router.route(page.path, get(async move || answer("text/html; charset=utf-8", "no-store", text)))
    });
    ASSETS.iter().fold(pages, |router, (path, kind, text)| {
        // Looked at anew each time, so that page and script are always of one version.
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(text)[..16]));
        router.route(path, get(async move |headers| asset(&headers, kind, text, &tag)))
    })
}

impl Page {
    fn render(&self) -> String {
        SHELL
            .replace("{title}", self.title)
            .replace("{name}", self.name)
            .replace("{main}", self.main.trim_end())
    }
}

fn asset(headers: &http::HeaderMap, kind: &'static str, text: &'static str, tag: &str) -> Response {
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        answer(kind, "no-cache", text.to_owned())
    };
    response.headers_mut().insert(header::ETAG, HeaderValue::from_str(tag).expect("hexadecimal digits"));
    response
}

fn answer(kind: &'static str, cache: &'static str, text: String) -> Response {
    let headers: [(HeaderName, &str); 7] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, cache),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_load_nothing_that_is_not_there_and_nothing_from_elsewhere() {
        let known: Vec<&str> = ASSETS.iter().map(|(path, ..)| *path).collect();
        for page in PAGES {
            let text = page.render();
            assert!(!text.contains('{'), "{}: everything is filled in", page.path);
            for tag in ["src=\"", "href=\""] {
                for reference in text.split(tag).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                    let is_page = PAGES.iter().any(|page| reference.split('?').next() == Some(page.path));
                    assert!(
                        known.contains(&reference) || is_page || reference == "data:,",
                        "{}: {reference}",
                        page.path
                    );
                }
            }
            assert!(!text.contains("style=") && !text.contains("onclick") && !text.contains("<style"));
        }
    }

    #[test]
    fn every_field_has_a_label_and_scripts_find_what_they_name() {
        for page in PAGES {
            let text = page.render();
            let ids: Vec<&str> =
                text.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
            let inputs = text.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap());
            for input in inputs.filter(|input| !input.contains(" hidden")) {
                let id = input.split("id=\"").nth(1).unwrap().split('"').next().unwrap();
                assert!(text.contains(&format!("<label for=\"{id}\">")), "{}: {id}", page.path);
            }
            let script = format!("/ui/{}.js", page.name);
            let (.., code) = ASSETS.iter().find(|(path, ..)| *path == script).unwrap();
            for quoted in ["byId(\"", "show(\"", "onSubmit(\""] {
                for id in code.split(quoted).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                    assert!(ids.contains(&id), "{}: the script names #{id}", page.path);
                }
            }
        }
    }
}
