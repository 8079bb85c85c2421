//! `[[sign_in]]`: the OpenID Connect providers that people sign in by.

use std::path::PathBuf;

use keywright_domain::{permission::Role, workspace::Slug};
use serde::Deserialize;

use super::value::is_plain_name;

/// Most providers.
const PROVIDERS_MAX: usize = 20;

/// An issuer identifier: where the provider's own description is found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Issuer(pub(crate) String);

impl TryFrom<String> for Issuer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.query().is_none() && !text.contains('#'));
        let is_local = |host: &str| host == "localhost" || host == "127.0.0.1" || host == "[::1]";
        let is_good = uri.as_ref().is_some_and(|uri| match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => !text.contains('@'),
            (Some("http"), Some(host)) => is_local(host),
            _ => false,
        });
        if is_good {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is no issuer: https:// with a host, as the provider names itself (http:// only on this machine)"
        ))
    }
}

/// A role in a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct MappedRole(pub(crate) Role);

impl TryFrom<String> for MappedRole {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let role = Role::parse(&text);
        role.map(Self).ok_or_else(|| format!("{text:?} is no role: owner, admin, member or viewer"))
    }
}

/// A workspace's slug in a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct MappedWorkspace(pub(crate) Slug);

impl TryFrom<String> for MappedWorkspace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Slug::parse(&text).map(Self).map_err(|_| format!("{text:?} is no workspace's name in addresses"))
    }
}

/// What a group gives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// The group, as the provider names it.
    #[serde(rename = "group")]
    pub(crate) name: String,
    /// The workspace.
    pub(crate) workspace: MappedWorkspace,
    /// The role there.
    pub(crate) role: MappedRole,
}

/// What happens to people whom the installation does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unknown {
    /// They are turned away.
    #[default]
    Refuse,
    /// They get an account.
    Create,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// Its name in addresses.
    pub(crate) name: String,
    /// Its name for people; the name in addresses unless given.
    pub(crate) title: Option<String>,
    /// Its issuer identifier.
    pub(crate) issuer: Issuer,
    /// Whom it knows this installation as.
    pub(crate) client_id: String,
    /// A file with the client's secret.
    pub(crate) client_secret_file: Option<PathBuf>,
    /// An environment variable with it.
    pub(crate) client_secret_env: Option<String>,
    /// What is asked for beside `openid`.
    #[serde(default = "usual_scopes")]
    pub(crate) scopes: Vec<String>,
    /// The claim with the person's groups.
    #[serde(default = "usual_claim")]
    pub(crate) groups_claim: String,
    /// Domains whose addresses the provider speaks for.
    #[serde(default)]
    pub(crate) email_domains: Vec<String>,
    /// What happens to people whom the installation does not know.
    #[serde(default)]
    pub(crate) unknown_people: Unknown,
    /// PEM file with the certificates that the provider's must be signed by, instead of the usual ones.
    pub(crate) root_certificate: Option<PathBuf>,
    /// What groups give.
    #[serde(default)]
    pub(crate) groups: Vec<Group>,
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

fn usual_claim() -> String {
    "groups".to_owned()
}

/// What is wrong with the providers as a whole.
pub(super) fn problem(providers: &[SignIn]) -> Option<String> {
    if providers.len() > PROVIDERS_MAX {
        return Some(format!("sign_in: at most {PROVIDERS_MAX} providers"));
    }
    providers.iter().enumerate().find_map(|(index, provider)| {
        let name = &provider.name;
        let why = if providers[..index].iter().any(|other| other.name == *name) {
            "is there twice"
        } else {
            provider.problem()?
        };
        Some(format!("sign_in: {name:?} {why}"))
    })
}

impl SignIn {
    fn problem(&self) -> Option<&'static str> {
        let is_word = |text: &String| {
            !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace() || letter == '"')
        };
        let is_domain =
            |text: &String| is_word(text) && !text.contains('@') && *text == text.to_ascii_lowercase();
        if !is_plain_name(&self.name) {
            Some("is no name: 1 to 32 lower-case letters, digits and '-'")
        } else if self.client_id.is_empty() {
            Some("has an empty client_id")
        } else if self.client_secret_file.is_some() && self.client_secret_env.is_some() {
            Some("has both client_secret_file and client_secret_env")
        } else if !self.scopes.iter().all(is_word) {
            Some("has a scope that is none")
        } else if !self.email_domains.iter().all(is_domain) {
            Some("has an e-mail domain that is none: lower case, without '@', such as \"example.com\"")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        sign_in: Vec<SignIn>,
    }

    const BASE: &str = "name = \"corp\"\nissuer = \"https://id.example.com\"\nclient_id = \"keywright\"\n";

    fn read(text: &str) -> Result<Vec<SignIn>, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        problem(&file.sign_in).map_or(Ok(file.sign_in), Err)
    }

    #[test]
    fn a_provider_with_groups() {
        let text = format!(
            "[[sign_in]]\n{BASE}[[sign_in.groups]]\ngroup = \"ops\"\nworkspace = \"acme\"\nrole = \"admin\"\n"
        );
        let read = read(&text).unwrap();
        assert_eq!((read[0].groups[0].role.0, read[0].unknown_people), (Role::Admin, Unknown::Refuse));
        assert_eq!(read[0].scopes, ["email", "profile"]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let one = |text: &str| read(&format!("[[sign_in]]\n{text}")).map(|_| ());
        assert_eq!(one(BASE), Ok(()));
        for (more, expected) in [
            ("email_domains = [\"@example.com\"]", "e-mail domain"),
            ("email_domains = [\"Example.com\"]", "e-mail domain"),
            ("scopes = [\"a b\"]", "scope"),
            ("client_secret_file = \"a\"\nclient_secret_env = \"B\"", "both"),
            ("unknown_people = \"maybe\"", "unknown variant"),
            ("[[sign_in.groups]]\ngroup = \"g\"\nworkspace = \"acme\"\nrole = \"boss\"", "no role"),
            ("[[sign_in.groups]]\ngroup = \"g\"\nworkspace = \"A B\"\nrole = \"admin\"", "no workspace"),
        ] {
            let error = one(&format!("{BASE}{more}\n")).unwrap_err();
            assert!(error.contains(expected), "{more}: {error}");
        }
        assert!(one(&BASE.replace("\"corp\"", "\"Corp\"")).unwrap_err().contains("is no name"));
        assert!(one(&BASE.replace("\"corp\"", &format!("{:?}", "x".repeat(33)))).is_err());
        assert!(one(&BASE.replace("\"keywright\"", "\"\"")).unwrap_err().contains("client_id"));
        let twice = read(&format!("[[sign_in]]\n{BASE}[[sign_in]]\n{BASE}")).unwrap_err();
        assert!(twice.contains("twice"), "{twice}");
        let many: Vec<_> = (0..=PROVIDERS_MAX)
            .map(|number| format!("[[sign_in]]\n{}", BASE.replace("corp", &format!("corp{number}"))))
            .collect();
        assert!(read(&many.concat()).unwrap_err().contains("at most"));
    }

    #[test]
    fn issuers() {
        for good in [
            "https://id.example.com",
            "https://id.example.com/realms/a",
            "http://localhost:3000",
            "http://127.0.0.1:1",
        ] {
            assert!(Issuer::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "id.example.com",
            "http://id.example.com",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "ftp://a",
        ] {
            assert!(Issuer::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
