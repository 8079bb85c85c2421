//! `GET /v1/prompts/context/{id}/content`

use std::ops::Range;

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keywright_domain::{
    ids::ContextId,
    prompt::{CHUNK_BYTES, ContextKind, FoundItem},
    store::StoreError,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    edge::{StrictPath, StrictQuery},
    error::{ApiError, ErrorCode},
    openapi::problems,
    packages::{ByteRange, DownloadLink, LinkRefusal, requested_range},
    state::AppState,
    unauthenticated::SelfProved,
    v1::problems::of_store,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Place {
    /// The context item's id.
    id: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The link's end, in Unix seconds.
    expires: i64,
    /// The link's signature.
    signature: String,
}

problems! { NotFound, DownloadLinkInvalid, DownloadLinkExpired, RangeNotSatisfiable }

/// Download a context file
///
/// With a link of `GET /v1/prompts/context/download-url`; needs no credential. It ends with the item, and with its prompt
/// or workspace going out of service. Takes `Range` (one range), `If-Range` and
/// `If-None-Match`.
#[utoipa::path(
    get, path = "/v1/prompts/context/{id}/content", operation_id = "download_context", tag = "Prompts",
    params(Place, Request), security(()),
    responses(
        (status = 200, description = "The file.", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, description = "The part that was asked for.", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "The file is still the one that the caller has."),
        Problems,
    ),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    StrictPath(Place { id }): StrictPath<Place>,
    StrictQuery(request): StrictQuery<Request>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let item = ContextId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let link = DownloadLink { item, expires: request.expires, signature: request.signature };
    link.check(state.plane.engine(), state.clock.now()).map_err(|refusal| match refusal {
        LinkRefusal::Altered => ErrorCode::DownloadLinkInvalid,
        LinkRefusal::Expired => ErrorCode::DownloadLinkExpired,
    })?;
    let found = state.store.context_item(item).await.map_err(of_store)?;
    let found = found.filter(FoundItem::is_in_service).ok_or(ErrorCode::NotFound)?;
    let ContextKind::File { name, mime_type, size, sha256 } = found.item.kind else {
        return Err(ErrorCode::NotFound.into());
    };
    let etag = format!("\"{sha256}\"");
    let is_known = is_known(&headers, &etag);
    let mut response = Response::new(Body::empty());
    // The link is a proof of its own.
    response.extensions_mut().insert(SelfProved);
    describe(response.headers_mut(), &name, &mime_type, &etag)?;
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let range = match requested_range(&headers, size, &etag) {
        ByteRange::Whole => 0..size,
        ByteRange::Part(part) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let content = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            response.headers_mut().insert(header::CONTENT_RANGE, ascii(content));
            part
        }
        ByteRange::Unsatisfiable => {
            return Err(ApiError::new(ErrorCode::RangeNotSatisfiable).member("size", size));
        }
    };
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    *response.body_mut() = content(state, item, range);
    Ok(response)
}

/// Whether the caller has the file with this entity tag (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}

/// Headers that keep a browser from taking the file for a page of this site.
fn describe(headers: &mut HeaderMap, name: &str, mime_type: &str, etag: &str) -> Result<(), ApiError> {
    let mime_type = HeaderValue::try_from(mime_type)
        .map_err(|_| ApiError::internal("a context file has a media type that is no header"))?;
    headers.insert(header::CONTENT_TYPE, mime_type);
    headers.insert(header::ETAG, ascii(etag.to_owned()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_DISPOSITION, ascii(disposition(name)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=0, must-revalidate"));
    Ok(())
}

/// `attachment` with the name in both forms (RFC 6266): the plain one without what would need quoting.
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || "-_. ".contains(letter) { letter } else { '_' })
        .collect();
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("made of visible ASCII only")
}

/// The bytes of the range, piece by piece as the client takes them.
fn content(state: AppState, item: ContextId, range: Range<u64>) -> Body {
    let pieces = stream::try_unfold((state, range), move |(state, range)| async move {
        if range.is_empty() {
            return Ok::<_, StoreError>(None);
        }
        let size = CHUNK_BYTES as u64;
        let (position, skipped) = (range.start / size, range.start % size);
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        // Deleted meanwhile: the connection breaks off, so that nobody takes the part for the whole.
        let chunk = state.store.context_chunk(item, position).await?.ok_or_else(gone)?;
        let chunk = Bytes::from(chunk);
        let skipped = usize::try_from(skipped).map_err(|_| gone())?;
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        if skipped >= chunk.len() {
            return Err(gone());
        }
        let piece = chunk.slice(skipped..chunk.len().min(skipped.saturating_add(wanted)));
        let next = range.start + piece.len() as u64..range.end;
        Ok(Some((piece, (state, next))))
    });
    Body::from_stream(pieces)
}

fn gone() -> StoreError {
    StoreError::Unavailable("the file was deleted while it was downloaded".to_owned())
}
