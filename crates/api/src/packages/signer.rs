//! Links to context files that open without a credential, for a while: the item, the end, and an HMAC of both under the
//! installation's pepper, whose version it names. All nodes have the peppers, so any of them honours the link of any other,
//! also while peppers rotate.

use keywright_domain::{ids::ContextId, time::Timestamp};
use keywright_engine::Engine;
use subtle::ConstantTimeEq as _;

use crate::{caps::DOWNLOAD_LINK_SECONDS, wire::hex};

/// Sets what is signed here apart from keys, which begin otherwise.
const PURPOSE: &str = "keywright context download v1";
/// Bytes of the HMAC that a link has.
const SIGNATURE_BYTES: usize = 16;

/// Where a context file can be had, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DownloadLink {
    /// The item.
    pub(crate) item: ContextId,
    /// The end, in Unix seconds.
    pub(crate) expires: i64,
    /// The pepper's version, and the signature in hexadecimal: `1.90f2…`.
    pub(crate) signature: String,
}

/// Why a link opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkRefusal {
    /// It was altered, or is of another installation.
    Altered,
    /// Its time is over.
    Expired,
}

impl DownloadLink {
    /// A link to the item, from `now` on.
    pub(crate) fn sign(engine: &Engine, item: ContextId, now: Timestamp) -> Self {
        let expires = now.unix_seconds().saturating_add(DOWNLOAD_LINK_SECONDS);
        let digest = engine.digest(&signed_text(item, expires));
        let signature = format!("{}.{}", digest.pepper, hex(&digest.bytes[..SIGNATURE_BYTES]));
        Self { item, expires, signature }
    }

    /// The path and the query.
    pub(crate) fn path(&self) -> String {
        format!(
            "/v1/prompts/context/{}/content?expires={}&signature={}",
            self.item, self.expires, self.signature
        )
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`LinkRefusal`].
    pub(crate) fn check(&self, engine: &Engine, now: Timestamp) -> Result<(), LinkRefusal> {
        let expected = self.signature.split_once('.').and_then(|(version, signature)| {
            let digest = engine.digest_under(version.parse().ok()?, &signed_text(self.item, self.expires))?;
            Some((hex(&digest[..SIGNATURE_BYTES]), signature))
        });
        if !expected.is_some_and(|(expected, given)| expected.as_bytes().ct_eq(given.as_bytes()).into()) {
            return Err(LinkRefusal::Altered);
        }
        // Exactly at its end it is over.
        if now.unix_ms() >= self.expires.saturating_mul(1_000) { Err(LinkRefusal::Expired) } else { Ok(()) }
    }
}

fn signed_text(item: ContextId, expires: i64) -> Vec<u8> {
    format!("{PURPOSE}\n{item}\n{expires}").into_bytes()
}
