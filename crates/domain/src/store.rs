//! The storage port: what Keywright needs of a database.
//!
//! Every write is a complete [`Command`] and one transaction: the entity's new state, the audit entry and the rows of
//! the change log are committed together or not at all. Nothing above the store ever holds a transaction.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;

use crate::{
    account::AccountStore,
    audit::{Checkpoint, StoredEntry},
    change::{Change, ChangeSink, NumberedChange},
    command::{Command, CommandError, Committed, Context},
    credit::CreditStore,
    identity::IdentityStore,
    ids::{KeyId, WorkspaceId},
    key::{ApiKey, Incident, KeyNumber},
    member::MemberStore,
    operator::OperatorCredential,
    permission::Catalogue,
    plan::Plan,
    principal::Membership,
    privacy::PrivacyStore,
    prompt::PromptStore,
    query::{AuditQuery, KeyQuery, LastUsed, Page},
    usage::{LedgerRow, UsageBatch, UsageBucket, UsageQuery},
    workspace::{Slug, Workspace, WorkspaceStore},
};

/// What can go wrong in a store. The text is for operators, never for callers.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or is shutting down. Nothing was changed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk is full. Nothing was changed.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The store cannot be written. Nothing was changed.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The data is damaged.
    #[error("the data is damaged: {0}")]
    Damaged(String),
    /// The commit was sent, and nobody knows whether it took place.
    #[error("the outcome of the commit is unknown: {0}")]
    CommitUnknown(String),
    /// Anything else: a defect.
    #[error("the store failed: {0}")]
    Internal(String),
}

/// How far usage was flushed, for the restoration of long windows after a restart: cost units per key and minute.
pub type RecentCost = Vec<(KeyNumber, i64, u64)>;

/// A database that keeps an installation.
#[async_trait]
pub trait Store:
    AccountStore
    + MemberStore
    + IdentityStore
    + PrivacyStore
    + WorkspaceStore
    + CreditStore
    + PromptStore
    + Send
    + Sync
    + 'static
{
    // --- writes ---------------------------------------------------------------------------------------------

    /// Carries out `command` in one transaction. The attached [`ChangeSink`] has taken its changes when this
    /// returns.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was changed, except possibly for [`StoreError::CommitUnknown`].
    async fn execute(&self, context: Context, command: Command) -> Result<Committed, CommandError>;

    /// Adds a batch to the rollups, last-used records and the access ledger, unless it was added before.
    ///
    /// # Errors
    /// [`StoreError`]; the batch may be sent again.
    async fn flush_usage(&self, batch: UsageBatch) -> Result<(), StoreError>;

    /// Keeps a signed checkpoint of the audit chain.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError>;

    // --- the change log -------------------------------------------------------------------------------------

    /// From now on, committed changes go to `sink`.
    fn attach(&self, sink: Arc<dyn ChangeSink>);

    /// Hands the whole verification state to `sink`, catalogue, plans, workspaces and memberships before keys, and
    /// returns the sequence number that it reflects.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn load(&self, sink: Box<dyn FnMut(Change) + Send>) -> Result<u64, StoreError>;

    /// The changes after `sequence`, at most `limit`, in order. Entities come in their newest state.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn changes_after(&self, sequence: u64, limit: u32) -> Result<Vec<NumberedChange>, StoreError>;

    // --- questions ------------------------------------------------------------------------------------------

    /// Whether the installation was set up: an operator credential exists.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn is_set_up(&self) -> Result<bool, StoreError>;

    /// A key that is not deleted.
    async fn key(&self, workspace: WorkspaceId, key: KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// A page of keys that are not deleted, newest first.
    async fn keys(&self, query: KeyQuery) -> Result<Page<ApiKey>, StoreError>;

    /// When each of these keys was last used; per key the latest, and per secret. Keys never used are left out.
    async fn last_used(&self, keys: Vec<KeyNumber>) -> Result<HashMap<KeyNumber, Vec<LastUsed>>, StoreError>;

    /// A workspace by slug.
    async fn workspace(&self, slug: Slug) -> Result<Option<Workspace>, StoreError>;

    /// A page of workspaces by slug, after `after`.
    async fn workspaces(&self, after: Option<Slug>, limit: u32) -> Result<Page<Workspace>, StoreError>;

    /// The memberships of a workspace that have not ended.
    async fn memberships(&self, workspace: WorkspaceId) -> Result<Vec<Membership>, StoreError>;

    /// All plans, by name.
    async fn plans(&self) -> Result<Vec<Plan>, StoreError>;

    /// The permission catalogue.
    async fn catalogue(&self) -> Result<Catalogue, StoreError>;

    /// All operator credentials, revoked ones included, oldest first.
    async fn operators(&self) -> Result<Vec<OperatorCredential>, StoreError>;

    /// Incidents of a workspace, newest first, at most `limit`.
    async fn incidents(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<Incident>, StoreError>;

    /// A page of audit entries, newest first.
    async fn audit(&self, query: AuditQuery) -> Result<Page<StoredEntry>, StoreError>;

    /// Audit entries after `sequence`, oldest first, at most `limit`: for export and verification.
    async fn audit_after(&self, sequence: u64, limit: u32) -> Result<Vec<StoredEntry>, StoreError>;

    /// The last audit entry's sequence number and hash; `(0, GENESIS)` before the first.
    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError>;

    /// All checkpoints, oldest first.
    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError>;

    /// Usage by bucket; buckets without usage are left out.
    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageBucket>, StoreError>;

    /// The access ledger of one key, newest minute first, at most `limit` rows before `before_minute`.
    async fn ledger(
        &self,
        key: KeyNumber,
        before_minute: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError>;

    /// Cost units of accepted calls per key and minute since `minute`, for restoring limit windows at start.
    async fn recent_cost(&self, since_minute: i64) -> Result<RecentCost, StoreError>;

    // --- care -----------------------------------------------------------------------------------------------

    /// Whether the store can be written now: the answer of a real, tiny write.
    async fn check_writable(&self) -> Result<(), StoreError>;

    /// Finishes running work and closes the store.
    async fn close(&self) -> Result<(), StoreError>;
}
