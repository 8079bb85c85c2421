//! Cursors of lists: opaque texts that say where to go on.
//!
//! `base64url(version ‖ check ‖ position)`; the check binds the position to the list that it was handed out by
//! (endpoint, workspace, filters), so a cursor from elsewhere and an altered one are refused. It is no secret and
//! gives no access: whoever forges one sees what they may see anyway.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use keywright_domain::query::Page;
use sha2::{Digest, Sha256};

use crate::error::{ApiError, ErrorCode};

const VERSION: u8 = 1;
const CHECK_LENGTH: usize = 8;
/// Longest position: the longest slug.
const POSITION_MAX_BYTES: usize = keywright_domain::caps::SLUG_MAX_BYTES;

/// The list that a cursor belongs to.
#[derive(Clone)]
pub(crate) struct CursorScope(Sha256);

impl CursorScope {
    /// The list of `endpoint` with this workspace and these filters.
    pub(crate) fn new(endpoint: &str, parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"keywright cursor v1\0");
        for part in std::iter::once(&endpoint).chain(parts) {
            hasher.update(u64::try_from(part.len()).expect("a length").to_be_bytes());
            hasher.update(part);
        }
        Self(hasher)
    }

    /// The cursor for going on after `position`.
    pub(crate) fn encode(&self, position: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(1 + CHECK_LENGTH + position.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.check(position));
        bytes.extend_from_slice(position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor for going on after `page`, whose items are at `position`; `None` if it was the last one.
    pub(crate) fn after<'page, T, P: AsRef<[u8]>>(
        &self,
        page: &'page Page<T>,
        position: impl FnOnce(&'page T) -> P,
    ) -> Option<String> {
        let last = page.items.last().filter(|_| page.has_more)?;
        Some(self.encode(position(last).as_ref()))
    }

    /// The position of a cursor.
    ///
    /// # Errors
    /// `invalid_cursor` when it was altered or comes from another list.
    pub(crate) fn decode(&self, cursor: &str) -> Result<Vec<u8>, ApiError> {
        let invalid = || ApiError::new(ErrorCode::InvalidCursor);
        if cursor.len() > (1 + CHECK_LENGTH + POSITION_MAX_BYTES) * 2 {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
        let [VERSION, rest @ ..] = &bytes[..] else { return Err(invalid()) };
        let (check, position) = rest.split_at_checked(CHECK_LENGTH).ok_or_else(invalid)?;
        if check != self.check(position) {
            return Err(invalid());
        }
        Ok(position.to_vec())
    }

    /// The position of an optional cursor, as `N` bytes.
    ///
    /// # Errors
    /// `invalid_cursor`, also when the position has another length.
    pub(crate) fn decode_array<const N: usize>(
        &self,
        cursor: Option<&str>,
    ) -> Result<Option<[u8; N]>, ApiError> {
        let Some(cursor) = cursor else { return Ok(None) };
        let position = self.decode(cursor)?;
        position.try_into().map(Some).map_err(|_| ApiError::new(ErrorCode::InvalidCursor))
    }

    fn check(&self, position: &[u8]) -> [u8; CHECK_LENGTH] {
        let mut hasher = self.0.clone();
        hasher.update(position);
        let hash: [u8; 32] = hasher.finalize().into();
        *hash.first_chunk().expect("a hash is longer than the check")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(scope: &CursorScope, cursor: &str) -> bool {
        scope.decode(cursor).is_err_and(|error| error.code() == ErrorCode::InvalidCursor)
    }

    #[test]
    fn a_cursor_belongs_to_one_list() {
        let scope = CursorScope::new("keys", &["ws_1", "status=active"]);
        let cursor = scope.encode(&[7; 16]);
        assert_eq!(scope.decode(&cursor).unwrap(), [7; 16]);
        for other in [
            CursorScope::new("audit", &["ws_1", "status=active"]),
            CursorScope::new("keys", &["ws_2", "status=active"]),
            CursorScope::new("keys", &["ws_1", "status=revoked"]),
            CursorScope::new("keys", &["ws_1status=active"]),
            CursorScope::new("keys", &["ws_1", "status=active", ""]),
        ] {
            assert!(refused(&other, &cursor));
        }
        assert!(refused(&scope, &scope.encode(&[7; 16]).to_uppercase()));
        assert!(scope.decode_array::<8>(Some(&cursor)).is_err());
        assert_eq!(scope.decode_array::<8>(None).unwrap(), None);
    }

    #[test]
    fn every_altered_bit_is_noticed() {
        let scope = CursorScope::new("keys", &[]);
        let bytes = URL_SAFE_NO_PAD.decode(scope.encode(b"position")).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&scope, &URL_SAFE_NO_PAD.encode(altered)), "{bit}");
        }
        for length in 0..bytes.len() {
            assert!(refused(&scope, &URL_SAFE_NO_PAD.encode(&bytes[..length])), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            prop_assert!(refused(&CursorScope::new("keys", &[]), &text));
        }

        #[test]
        fn positions_come_back(position in proptest::collection::vec(any::<u8>(), 0..=POSITION_MAX_BYTES)) {
            let scope = CursorScope::new("keys", &["x"]);
            prop_assert_eq!(scope.decode(&scope.encode(&position)).unwrap(), position);
        }
    }
}
