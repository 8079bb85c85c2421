//! HTTP to providers.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use keywright_api::{
    caps::OIDC_ANSWER_MAX_BYTES,
    oidc::{Network, NetworkError},
};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::failure::{Exit, Failure};

/// How long one question to a provider may take. Two of them fit into a request's time.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Asks providers, in threads that may wait.
pub(super) struct HttpNetwork(Agent);

impl HttpNetwork {
    /// With the usual certificates, or with those in the PEM file `roots` alone.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, Failure> {
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            // Where a provider's endpoints are is in its document, and nowhere else.
            .max_redirects(0)
            .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = roots {
            builder = builder.tls_config(TlsConfig::builder().root_certs(read_roots(path)?).build());
        }
        Ok(Self(builder.build().into()))
    }
}

fn read_roots(path: &Path) -> Result<RootCerts, Failure> {
    let pem = std::fs::read(path).map_err(|error| {
        Failure::new(
            Exit::NoInput,
            format!("cannot read sign_in.root_certificate {}: {error}", path.display()),
        )
    })?;
    let certificate = Certificate::from_pem(&pem)
        .map_err(|_| Failure::new(Exit::Config, format!("{} holds no certificate in PEM", path.display())))?;
    Ok(RootCerts::Specific(Arc::new(vec![certificate.to_owned()])))
}

#[async_trait]
impl Network for HttpNetwork {
    async fn get(&self, url: &str) -> Result<Vec<u8>, NetworkError> {
        let (agent, url) = (self.0.clone(), url.to_owned());
        let (status, body) =
            asked(move || read(agent.get(&url).header("Accept", "application/json").call())).await?;
        if status == 200 { Ok(body) } else { Err(NetworkError(format!("HTTP status {status}"))) }
    }

    async fn post_form(
        &self,
        url: &str,
        authorization: Option<&str>,
        form: String,
    ) -> Result<(u16, Vec<u8>), NetworkError> {
        let (agent, url, authorization) = (self.0.clone(), url.to_owned(), authorization.map(str::to_owned));
        asked(move || {
            let mut request = agent
                .post(&url)
                .header("Accept", "application/json")
                .content_type("application/x-www-form-urlencoded");
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            read(request.send(form))
        })
        .await
    }
}

async fn asked(
    ask: impl FnOnce() -> Result<(u16, Vec<u8>), NetworkError> + Send + 'static,
) -> Result<(u16, Vec<u8>), NetworkError> {
    tokio::task::spawn_blocking(ask).await.map_err(|_| NetworkError("a defect".to_owned()))?
}

fn read(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(u16, Vec<u8>), NetworkError> {
    let failed = |error: ureq::Error| NetworkError(error.to_string());
    let mut answer = answer.map_err(failed)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(OIDC_ANSWER_MAX_BYTES).read_to_vec().map_err(failed)?;
    Ok((status, body))
}
