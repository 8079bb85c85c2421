//! What a caller wants to get.

use http::{HeaderMap, header};

/// Whether `Accept` names `media_type`.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = lines.flat_map(|line| line.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case(media_type))
}
