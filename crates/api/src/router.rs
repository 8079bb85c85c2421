//! All routes, and the document about them.

use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    docs,
    edge::{EdgeSettings, guard},
    error::pages,
    openapi,
    state::AppState,
    unauthenticated::LimitLayer,
    v1,
};

/// The whole management interface: endpoints, documents, error pages, the boundary around them.
///
/// The address of the client is taken from the request extension `ConnectInfo<SocketAddr>`.
pub fn router(state: AppState) -> Router {
    let (routes, outline) = routes_and_outline();
    let (clock, ids) = (Arc::clone(&state.clock), Arc::clone(&state.request_ids));
    let request_ids = Arc::new(move || ids.next(clock.now()).to_string());
    let mut settings = EdgeSettings::new(&state.config.base_url, request_ids);
    settings.limits = Some(Arc::new(LimitLayer::new(&state, &outline)));
    let pages = docs::routes(openapi_document, &state.config.base_url).merge(pages::routes());
    let routes = routes.with_state(state).merge(pages);
    guard(routes, settings)
}

/// The OpenAPI document.
pub fn openapi_document() -> OpenApi {
    let (_, mut document) = routes_and_outline();
    openapi::complete(&mut document);
    document
}

/// The routes, and the document with what their annotations say.
fn routes_and_outline() -> (Router<AppState>, OpenApi) {
    OpenApiRouter::with_openapi(openapi::base()).merge(v1::routes()).split_for_parts()
}
