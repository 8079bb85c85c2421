//! `GET /v1/prompts/context/download-url`, and where the shipped clients ask for it: under `/api`.

use axum::{Json, extract::State};
use http::{HeaderMap, Uri};
use keywright_domain::{ids::ContextId, prompt::ContextKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::reader;
use crate::{
    caps::DOWNLOAD_LINK_SECONDS,
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    hot::{Admitted, DownloadContext},
    openapi::problems,
    packages::DownloadLink,
    state::AppState,
    v1::problems::of_store,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The context item's id.
    #[serde(rename = "contextId")]
    #[param(example = "ctx_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    context_id: String,
}

/// Where a file can be had.
#[derive(Serialize, ToSchema)]
#[schema(as = DownloadUrl)]
pub(crate) struct Answer {
    /// An absolute address that needs no credential. It ends with the item.
    #[schema(example = "https://example.com/faq")]
    url: String,
    /// For how many seconds.
    #[serde(rename = "expiresIn")]
    #[schema(example = 900)]
    expires_in: i64,
}

problems! { NotFound, NotAFile, RateLimited, QuotaExceeded }

/// Get a link to a context file
///
/// Needs `context:download`. The link needs no credential, opens for 15 minutes, and can not be altered. A file that only a
/// draft has is there for keys that see the draft.
#[utoipa::path(
    get, path = "/v1/prompts/context/download-url", operation_id = "get_download_url", tag = "Prompts", params(Request),
    responses((status = 200, description = "The link.", body = Answer), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    admitted: Admitted<DownloadContext>,
    StrictQuery(request): StrictQuery<Request>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Answer>, ApiError> {
    let id = ContextId::parse(&request.context_id).map_err(|_| ErrorCode::NotFound)?;
    let visibility = reader(&state, &admitted)?.visibility;
    let found =
        state.store.context_item(id).await.map_err(of_store)?.filter(|found| {
            found.prompt.workspace == admitted.workspace_id() && found.is_visible(visibility)
        });
    let found = found.ok_or(ErrorCode::NotFound)?;
    if matches!(found.item.kind, ContextKind::Link { .. }) {
        return Err(ErrorCode::NotAFile.into());
    }
    let link = DownloadLink::sign(state.plane.engine(), id, admitted.caller.origin.now);
    let url = format!("{}{}", base_url(&state, &uri, &headers), link.path());
    Ok(Json(Answer { url, expires_in: DOWNLOAD_LINK_SECONDS }))
}

/// Get a link to a context file, for shipped clients
///
/// The same as `/v1/prompts/context/download-url`.
#[utoipa::path(
    get, path = "/api/v1/prompts/context/download-url", operation_id = "get_download_url_legacy", tag = "Prompts",
    params(Request), responses((status = 200, description = "The link.", body = Answer), Problems),
)]
pub(crate) async fn legacy(
    state: State<AppState>,
    admitted: Admitted<DownloadContext>,
    query: StrictQuery<Request>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Answer>, ApiError> {
    handler(state, admitted, query, uri, headers).await
}

/// Where the installation is reached: as configured, else as this very request reached it.
fn base_url(state: &AppState, uri: &Uri, headers: &HeaderMap) -> String {
    if !state.config.base_url.is_empty() {
        return state.config.base_url.clone();
    }
    // HTTP/2 has the host in the URI.
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or("localhost");
    format!("http://{host}")
}
