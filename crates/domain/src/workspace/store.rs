//! What a store must answer about the ends of workspaces and the use of their keys.

use async_trait::async_trait;

use super::Workspace;
use crate::{key::KeyNumber, store::StoreError, time::Timestamp, usage::Origin};

/// Questions about workspaces that only jobs and reviews of their use ask.
#[async_trait]
pub trait WorkspaceStore: Send + Sync + 'static {
    /// Workspaces whose deletion is final at `now` and whose data is still there, those that wait longest first, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn workspaces_to_purge(&self, now: Timestamp, limit: u32) -> Result<Vec<Workspace>, StoreError>;

    /// The networks that a key is used from, those first seen last first; at most
    /// [`ORIGINS_PER_KEY`](crate::caps::ORIGINS_PER_KEY) are remembered.
    async fn origins(&self, key: KeyNumber) -> Result<Vec<Origin>, StoreError>;
}
