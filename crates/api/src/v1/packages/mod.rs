//! Prompts as applications get them, with the keys of their workspace.

mod download;
mod download_url;
mod get;
mod list;

use http::{HeaderValue, Response, header};
use keywright_domain::permit::Actor;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use list::Request as ListRequest;

use crate::{
    error::ApiError,
    hot::{Admitted, Opens},
    packages::Reader,
    state::AppState,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get::handler))
        .routes(routes!(list::handler))
        .routes(routes!(download_url::handler))
        .routes(routes!(download_url::legacy))
        .routes(routes!(download::handler))
}

/// The key that was admitted, as a reader of prompts.
fn reader<'a, O: Opens>(state: &AppState, admitted: &'a Admitted<O>) -> Result<Reader<'a>, ApiError> {
    let Actor::Key { creator, workspace, .. } = admitted.caller.actor else {
        return Err(ApiError::internal("only keys are admitted"));
    };
    let workspace = (admitted.key.workspace, workspace, admitted.workspace.as_str());
    Ok(Reader::new(state, workspace, &creator))
}

/// An answer with this JSON.
fn json_answer(json: String) -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::from(json));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
