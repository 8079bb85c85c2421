//! The one place where a secret leaves the server.

use keywright_keyformat::Secret;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// The whole text of a key. Shown once; it can not be retrieved again.
#[derive(ToSchema)]
#[schema(value_type = String, examples("sk_live_aB3dE6gH9kLm…"))]
pub struct RevealedSecret(pub Secret);

impl Serialize for RevealedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}
