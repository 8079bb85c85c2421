//! What a provider says about itself (OpenID Connect Discovery 1.0).

use serde::Deserialize;

/// Where a provider's endpoints are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Discovered {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// How the installation proves to the provider who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuthentication {
    /// `client_secret_basic`, which every provider has to take.
    Basic,
    /// `client_secret_post`, where the provider takes nothing else.
    Post,
}

/// Where the document is.
pub(super) fn address(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

impl Discovered {
    /// Reads the document of `issuer`.
    ///
    /// # Errors
    /// A text for the log, when it is none, or another issuer's, or leads out of TLS.
    pub(super) fn read(bytes: &[u8], issuer: &str) -> Result<Self, String> {
        let found: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("no discovery document: {error}"))?;
        if found.issuer != issuer {
            return Err("the discovery document is another issuer's".to_owned());
        }
        let is_plain = issuer.starts_with("http://");
        for url in [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri] {
            if !(url.starts_with("https://") || is_plain && url.starts_with("http://")) {
                return Err("the discovery document names an endpoint without TLS".to_owned());
            }
        }
        Ok(found)
    }

    pub(super) fn client_authentication(&self) -> ClientAuthentication {
        let methods = &self.token_endpoint_auth_methods_supported;
        let takes = |name: &str| methods.iter().any(|method| method == name);
        if !takes("client_secret_basic") && takes("client_secret_post") {
            ClientAuthentication::Post
        } else {
            ClientAuthentication::Basic
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_issuers_own_document_counts() {
        let issuer = "https://id.example";
        let document = |issuer: &str, token: &str| {
            json!({"issuer": issuer, "authorization_endpoint": "https://id.example/a", "token_endpoint": token,
                   "jwks_uri": "https://id.example/k", "more": 1})
            .to_string()
        };
        let read = |text: String| Discovered::read(text.as_bytes(), issuer).map(|_| ());
        assert_eq!(read(document(issuer, "https://id.example/t")), Ok(()));
        assert!(
            read(document("https://evil.example", "https://id.example/t")).unwrap_err().contains("another")
        );
        assert!(read(document("https://id.example/", "https://id.example/t")).is_err(), "to the letter");
        assert!(read(document(issuer, "http://id.example/t")).unwrap_err().contains("TLS"));
        assert!(read("{}".to_owned()).is_err());
        assert_eq!(
            address("https://id.example/realm/"),
            "https://id.example/realm/.well-known/openid-configuration"
        );
    }

    #[test]
    fn the_secret_goes_where_the_provider_wants_it() {
        let with = |methods: serde_json::Value| {
            let text = json!({"issuer": "i", "authorization_endpoint": "", "token_endpoint": "", "jwks_uri": "",
                              "token_endpoint_auth_methods_supported": methods});
            serde_json::from_value::<Discovered>(text).unwrap().client_authentication()
        };
        assert_eq!(with(json!([])), ClientAuthentication::Basic);
        assert_eq!(with(json!(["client_secret_post", "client_secret_basic"])), ClientAuthentication::Basic);
        assert_eq!(with(json!(["client_secret_post"])), ClientAuthentication::Post);
    }
}
