//! Prompts as applications get them, with the keys of their workspace.

mod download;
mod download_url;
mod get;
mod list;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use keywright_domain::{
    permission::Builtin,
    permit::Actor,
    prompt::{ServeQuery, Served, Visibility},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::ApiError,
    hot::{Admitted, Opens},
    packages::Rendered,
    state::AppState,
    v1::problems::of_store,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get::handler))
        .routes(routes!(list::handler))
        .routes(routes!(download_url::handler))
        .routes(routes!(download_url::legacy))
        .routes(routes!(download::handler))
}

/// Whose drafts the caller sees: a key has the eyes of its creator, who sees all drafts when allowed to write prompts,
/// and the own ones always.
fn visibility<O: Opens>(state: &AppState, admitted: &Admitted<O>) -> Visibility {
    let Actor::Key { creator, .. } = admitted.caller.actor else { return Visibility::Published };
    let may = state.plane.creator_permissions(&creator);
    if may.contains(Builtin::PromptsWrite.bit()) {
        Visibility::All
    } else {
        Visibility::Own(creator.principal)
    }
}

/// The answer to `query`, from memory if it is still true.
async fn rendered<O: Opens>(
    state: &AppState,
    admitted: &Admitted<O>,
    query: ServeQuery,
    render: impl FnOnce(&Served) -> Option<Vec<u8>>,
) -> Result<Option<Bytes>, ApiError> {
    let engine = state.plane.engine();
    let workspace = admitted.key.workspace;
    if let Some(known) = state.prompts.get(engine, workspace, &query) {
        return Ok(known.body);
    }
    let served = state.store.serve_prompts(query.clone()).await.map_err(of_store)?;
    let body = render(&served).map(Bytes::from);
    state.prompts.put(query, Rendered { as_of: served.as_of, body: body.clone() });
    Ok(body)
}

/// An answer with this JSON.
fn json_answer(body: Bytes) -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
