use async_trait::async_trait;

/// Why a provider gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NetworkError(pub String);

/// The way to providers.
#[async_trait]
pub trait Network: Send + Sync {
    /// The answer to `GET url` with status 200, at most `OIDC_ANSWER_MAX_BYTES` long.
    ///
    /// # Errors
    /// [`NetworkError`] when there is none, or another one.
    async fn get(&self, url: &str) -> Result<Vec<u8>, NetworkError>;

    /// Status and answer to `POST url` with the form `form`; `authorization` is sent as the header of that name.
    ///
    /// # Errors
    /// [`NetworkError`] when there is none.
    async fn post_form(
        &self,
        url: &str,
        authorization: Option<&str>,
        form: String,
    ) -> Result<(u16, Vec<u8>), NetworkError>;
}
