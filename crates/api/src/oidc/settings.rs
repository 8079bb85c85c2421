//! What the operator says about a provider.

use std::fmt;

use keywright_domain::{permission::Role, workspace::Slug};

/// The secret that the provider knows this installation by. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// The secret with this text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the provider only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientSecret(…)")
    }
}

/// What happens to people whom the provider knows and the installation does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPeople {
    /// They get an account when they sign in.
    Create,
    /// They are turned away.
    Refuse,
}

/// Who is in `group` has `role` in `workspace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMapping {
    /// The group, as the provider names it.
    pub group: String,
    /// The workspace.
    pub workspace: Slug,
    /// The role there.
    pub role: Role,
}

/// A provider, and what is believed of what it says.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name in addresses.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Its issuer identifier, exactly as it names itself.
    pub issuer: String,
    /// Whom it knows this installation as.
    pub client_id: String,
    /// What it knows it by. A public client has none; PKCE protects both.
    pub client_secret: Option<ClientSecret>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim with the person's groups.
    pub groups_claim: String,
    /// Domains whose addresses the provider speaks for, in lower case. Empty: it speaks for nobody's address, and everybody
    /// with an account there may sign in.
    pub email_domains: Vec<String>,
    /// What happens to people that are new.
    pub unknown_people: UnknownPeople,
    /// What groups give. The workspaces that are named here are governed by the provider for the people who sign in by it.
    pub mappings: Vec<GroupMapping>,
}

impl ProviderSettings {
    /// Whether the provider speaks for `email`.
    pub(crate) fn speaks_for(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        domain.is_some_and(|domain| self.email_domains.contains(&domain))
    }

    /// The workspaces that the provider governs, each with the role that `groups` give there: the greatest of several.
    pub(crate) fn roles(&self, groups: &[String]) -> Vec<(Slug, Option<Role>)> {
        let mut roles: Vec<(Slug, Option<Role>)> = Vec::new();
        for mapping in &self.mappings {
            let given = groups.contains(&mapping.group).then_some(mapping.role);
            match roles.iter_mut().find(|(slug, _)| *slug == mapping.workspace) {
                Some((_, role)) => *role = greater(*role, given),
                None => roles.push((mapping.workspace.clone(), given)),
            }
        }
        roles
    }
}

fn greater(one: Option<Role>, other: Option<Role>) -> Option<Role> {
    match (one, other) {
        (Some(one), Some(other)) if one.permissions().is_subset(other.permissions()) => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings(issuer: &str) -> ProviderSettings {
        let mapping = |group: &str, workspace: &str, role| GroupMapping {
            group: group.to_owned(),
            workspace: Slug::parse(workspace).unwrap(),
            role,
        };
        ProviderSettings {
            name: "corp".to_owned(),
            title: "Corp".to_owned(),
            issuer: issuer.to_owned(),
            client_id: "keywright".to_owned(),
            client_secret: Some(ClientSecret::new("hush".to_owned())),
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            groups_claim: "groups".to_owned(),
            email_domains: vec!["example.com".to_owned()],
            unknown_people: UnknownPeople::Create,
            mappings: vec![
                mapping("all", "acme", Role::Viewer),
                mapping("admins", "acme", Role::Admin),
                mapping("ops", "beta", Role::Member),
            ],
        }
    }

    #[test]
    fn groups_give_the_greatest_role_and_no_group_takes_it_away() {
        let settings = settings("https://id.example");
        let roles = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            settings.roles(&groups).into_iter().map(|(_, role)| role).collect::<Vec<_>>()
        };
        assert_eq!(roles(&[]), [None, None]);
        assert_eq!(roles(&["all"]), [Some(Role::Viewer), None]);
        assert_eq!(roles(&["all", "admins"]), [Some(Role::Admin), None]);
        assert_eq!(roles(&["admins", "ops", "other"]), [Some(Role::Admin), Some(Role::Member)]);
    }

    #[test]
    fn a_provider_speaks_for_its_own_domains() {
        let settings = settings("https://id.example");
        assert!(settings.speaks_for("Ada@Example.COM"));
        for other in ["ada@sub.example.com", "ada@example.com.evil", "example.com", "ada@example.com@evil"] {
            assert!(!settings.speaks_for(other), "{other}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", settings("x")).contains("hush"));
    }
}
