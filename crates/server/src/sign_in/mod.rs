//! The OpenID Connect providers of the configuration, and the way to them.

mod network;

use std::sync::Arc;

use keywright_api::oidc::{ClientSecret, GroupMapping, Network, ProviderSettings, UnknownPeople};

use crate::{
    config::sign_in::{SignIn, Unknown},
    failure::Failure,
    installation::read_secret,
};
use network::HttpNetwork;

/// A provider, and the way to it.
type Reachable = (ProviderSettings, Arc<dyn Network>);

/// The providers that `sections` describe. Reads the clients' secrets and the certificates; asks no provider anything.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn providers(sections: &[SignIn]) -> Result<Vec<Reachable>, Failure> {
    let provider = |section: &SignIn| {
        let network: Arc<dyn Network> = Arc::new(HttpNetwork::new(section.root_certificate.as_deref())?);
        Ok((settings(section)?, network))
    };
    sections.iter().map(provider).collect()
}

fn settings(section: &SignIn) -> Result<ProviderSettings, Failure> {
    let (file, env) = (section.client_secret_file.as_deref(), section.client_secret_env.as_deref());
    let secret = read_secret(file, env, "the client secret of a sign-in provider")?;
    let mapping = |group: &crate::config::sign_in::Group| GroupMapping {
        group: group.name.clone(),
        workspace: group.workspace.0.clone(),
        role: group.role.0,
    };
    Ok(ProviderSettings {
        name: section.name.clone(),
        title: section.title.clone().unwrap_or_else(|| section.name.clone()),
        issuer: section.issuer.0.clone(),
        client_id: section.client_id.clone(),
        client_secret: secret.map(|secret| ClientSecret::new(secret.as_str().to_owned())),
        scopes: section.scopes.clone(),
        groups_claim: section.groups_claim.clone(),
        email_domains: section.email_domains.clone(),
        unknown_people: match section.unknown_people {
            Unknown::Refuse => UnknownPeople::Refuse,
            Unknown::Create => UnknownPeople::Create,
        },
        mappings: section.groups.iter().map(mapping).collect(),
    })
}
