//! Signing in by an OpenID Connect provider: the part of the relying party, by the authorization code flow with PKCE
//! (OpenID Connect Core 1.0, RFC 6749, RFC 7636, RFC 9700).
//!
//! What a provider says is believed only when its signature, issuer, audience, times and nonce fit a sign-in that this very
//! browser began (ADR 30). The connection to the provider is a port, [`Network`]: the composition root knows TLS and proxies.

mod cookie;
mod discovery;
mod flow;
mod keys;
mod network;
mod provider;
mod settings;
mod token;

pub(crate) use cookie::{clear_flow_cookie, flow_cookie, set_flow_cookie};
pub(crate) use flow::{Flow, FlowError, SpentFlows};
pub use network::{Network, NetworkError};
pub use provider::Providers;
pub(crate) use provider::{ExchangeError, Provider};
pub use settings::{ClientSecret, GroupMapping, ProviderSettings, UnknownPeople};
pub(crate) use token::Claims;

#[cfg(test)]
pub(crate) mod fake_provider;
#[cfg(test)]
pub(crate) use settings::tests::settings as settings_for_tests;
