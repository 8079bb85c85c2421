//! `POST /v1/workspaces/{slug}/prompts/{prompt}/context/files`

use axum::{
    body::Body,
    extract::{Request as HttpRequest, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use keywright_domain::{
    ids::ContextId,
    prompt::{CHUNK_BYTES, ContextKind, FILE_MAX_BYTES, MIME_TYPES, NewContext, PromptCommand},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::{AddedContext, Author, add_context};
use crate::{
    caps::{UPLOAD_TIMEOUT, UPLOADS_MAX},
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    wire::{PromptPath, hex},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The file's name, without a path.
    #[param(example = "faq.md", min_length = 1, max_length = 200)]
    file_name: String,
    /// A label for people.
    #[param(min_length = 1, max_length = 200)]
    label: Option<String>,
}

problems! {
    PromptArchived, LimitReached, AlreadyApplied, IdempotencyMismatch, BodyTooLarge, RequestTimeout, UnsupportedMediaType,
    Unavailable,
}

/// Add a file to a prompt's draft
///
/// Needs `prompts:write`. The body is the file itself, at most 8 MiB, and `Content-Type` its media type. It is kept under
/// its SHA-256, which the answer tells.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/prompts/{prompt}/context/files", operation_id = "add_prompt_context_file",
    tag = "Prompts",
    params(PromptPath, Request, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Vec<u8>, content_type = "text/plain", description = "The file."),
    responses((status = 201, description = "The item, and the prompt as it is now.", body = AddedContext), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
    StrictQuery(request): StrictQuery<Request>,
    body: HttpRequest,
) -> Result<Response, ApiError> {
    let (parts, body) = body.into_parts();
    let mime_type = mime_type(&parts.headers)?;
    // Files are in memory until they are stored: not too many of them at once.
    let _place = state.uploads.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{UPLOADS_MAX} files are being uploaded at the moment.");
        ApiError::with_detail(ErrorCode::Unavailable, detail).retry_after_seconds(1)
    })?;
    let upload = tokio::time::timeout(UPLOAD_TIMEOUT, Upload::read(&parts.headers, body));
    let Upload { chunks, size, sha256 } = upload.await.map_err(|_| ErrorCode::RequestTimeout)??;
    let sha256 = hex(&sha256);
    // What makes the request what it is: the path has no query.
    let said = (&request.file_name, &request.label, &mime_type, &sha256);
    let fingerprint = serde_json::to_vec(&said).expect("texts are JSON");
    let kind = ContextKind::File { name: request.file_name, mime_type, size, sha256 };
    let id = ContextId::generate(author.scope.now(), &*state.entropy);
    let item = Box::new(NewContext { id, label: request.label, kind, chunks });
    let command = PromptCommand::AddContext { prompt: author.prompt.id, item };
    let answer = add_context(&state, &author.scope, command, &fingerprint).await?;
    Ok(created(answer.into_response()))
}

/// The answer of an endpoint that created something.
pub(super) fn created(mut response: Response) -> Response {
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

/// The media type without its parameters.
fn mime_type(headers: &HeaderMap) -> Result<String, ApiError> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.is_empty() {
        let detail = "Say what the file is with `Content-Type`, such as `text/markdown`.";
        return Err(ApiError::with_detail(ErrorCode::UnsupportedMediaType, detail));
    }
    if !MIME_TYPES.contains(&essence.as_str()) {
        let detail = format!("A context file is one of {}.", MIME_TYPES.join(", "));
        return Err(ApiError::with_detail(ErrorCode::UnsupportedMediaType, detail));
    }
    Ok(essence)
}

/// A file as it arrived.
struct Upload {
    chunks: Vec<Vec<u8>>,
    size: u64,
    sha256: [u8; 32],
}

impl Upload {
    /// Takes the body in, and its digest while it comes.
    async fn read(headers: &HeaderMap, mut body: Body) -> Result<Self, ApiError> {
        let too_large = || {
            let detail = format!("A context file has at most {FILE_MAX_BYTES} bytes.");
            ApiError::with_detail(ErrorCode::BodyTooLarge, detail).member("limit_bytes", FILE_MAX_BYTES)
        };
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes: u64| bytes > FILE_MAX_BYTES) {
            return Err(too_large());
        }
        let (mut chunks, mut last, mut size, mut hasher) = (Vec::new(), Vec::new(), 0_u64, Sha256::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                ApiError::with_detail(ErrorCode::InvalidField, "The file broke off while it was uploaded.")
            })?;
            let Ok(mut data) = frame.into_data() else { continue };
            size += data.len() as u64;
            if size > FILE_MAX_BYTES {
                return Err(too_large());
            }
            hasher.update(&data);
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(CHUNK_BYTES - last.len()));
                last.extend_from_slice(&piece);
                if last.len() == CHUNK_BYTES {
                    chunks.push(std::mem::take(&mut last));
                }
            }
        }
        if !last.is_empty() {
            chunks.push(last);
        }
        Ok(Self { chunks, size, sha256: hasher.finalize().into() })
    }
}
