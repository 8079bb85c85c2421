mod members;
mod prompts;

use core::sync::atomic::{AtomicU64, Ordering};
use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use keywright_domain::{
    account::{AccountStore, Invitation, Recovery, SecondFactor, Session, SignedIn, TokenDigest},
    audit::{Checkpoint, StoredEntry},
    change::{Change, ChangeSink, NumberedChange},
    command::{Command, CommandError, Committed, Context},
    credit::{CreditAccount, CreditDraw, CreditGrant, CreditSettlement, CreditStore, CreditSubject},
    identity::{ExternalIdentity, IdentityStore},
    ids::{CreditAccountId, InvitationId, KeyId, UserId, WorkspaceId},
    key::{ApiKey, Incident, KeyNumber},
    operator::OperatorCredential,
    permission::Catalogue,
    plan::Plan,
    principal::{Membership, Principal, User},
    privacy::{Consent, PrivacyStore, Who},
    query::{AuditQuery, KeyQuery, LastUsed, Page},
    store::{RecentCost, Store, StoreError},
    time::Timestamp,
    usage::{LedgerRow, Origin, UsageBatch, UsageBucket, UsageQuery},
    workspace::{Slug, Workspace, WorkspaceStore},
};
use parking_lot::Mutex;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// [`StoreError::Unavailable`]; the call does not reach the store.
    Unavailable,
    /// [`StoreError::Full`]; the call does not reach the store.
    Full,
    /// [`StoreError::ReadOnly`]; the call does not reach the store.
    ReadOnly,
    /// [`StoreError::CommitUnknown`], after the store did what was asked. A question answers
    /// [`StoreError::Unavailable`] instead.
    CommitUnknown,
}

impl Failure {
    /// All failures.
    pub const ALL: [Self; 4] = [Self::Unavailable, Self::Full, Self::ReadOnly, Self::CommitUnknown];

    fn error(self) -> StoreError {
        let text = "made to fail".to_owned();
        match self {
            Self::Unavailable => StoreError::Unavailable(text),
            Self::Full => StoreError::Full(text),
            Self::ReadOnly => StoreError::ReadOnly(text),
            Self::CommitUnknown => StoreError::CommitUnknown(text),
        }
    }
}

/// A store of which single calls, or all calls from one on, fail as told.
///
/// To try every failure: run the scenario with `fail_at(1, …)`, `fail_at(2, …)` and so on, until [`Self::has_failed`]
/// says that it had fewer calls.
pub struct FaultyStore<S> {
    inner: Arc<S>,
    calls: AtomicU64,
    plan: Mutex<FailurePlan>,
}

#[derive(Default)]
struct FailurePlan {
    single: Option<(u64, Failure)>,
    lasting: Option<Failure>,
    failed: u64,
}

impl<S: Store> FaultyStore<S> {
    /// A store that does what `inner` does, until told otherwise.
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner, calls: AtomicU64::new(0), plan: Mutex::default() }
    }

    /// The store behind it, which never fails.
    pub const fn inner(&self) -> &Arc<S> {
        &self.inner
    }

    /// Lets the `nth` call from now on (from 1) fail, and that one alone.
    pub fn fail_at(&self, nth: u64, failure: Failure) {
        let at = self.calls() + nth;
        *self.plan.lock() = FailurePlan { single: Some((at, failure)), ..FailurePlan::default() };
    }

    /// Lets every call fail from now on.
    pub fn fail_all(&self, failure: Failure) {
        *self.plan.lock() = FailurePlan { lasting: Some(failure), ..FailurePlan::default() };
    }

    /// No call fails from now on.
    pub fn heal(&self) {
        *self.plan.lock() = FailurePlan::default();
    }

    /// Calls so far, failed ones included. [`Store::attach`] cannot fail and does not count.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether a call failed since the last instruction.
    pub fn has_failed(&self) -> bool {
        self.plan.lock().failed > 0
    }

    /// Counts a call; says how it is to fail.
    fn next(&self) -> Option<Failure> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let mut plan = self.plan.lock();
        let single = plan.single.filter(|(at, _)| *at == call).map(|(_, failure)| failure);
        let failure = single.or(plan.lasting);
        plan.failed += u64::from(failure.is_some());
        failure
    }

    async fn write<T, E: From<StoreError>>(
        &self,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        match self.next() {
            None => call.await,
            Some(Failure::CommitUnknown) => {
                // Only a success becomes unknown; a refusal was certain.
                call.await.and_then(|_| Err(Failure::CommitUnknown.error().into()))
            }
            Some(failure) => Err(failure.error().into()),
        }
    }

    async fn question<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.next() {
            None => call.await,
            Some(Failure::CommitUnknown) => call.await.and_then(|_| Err(Failure::Unavailable.error())),
            Some(failure) => Err(failure.error()),
        }
    }
}

#[async_trait]
impl<S: Store> PrivacyStore for FaultyStore<S> {
    async fn person(&self, who: Who) -> Result<Option<User>, StoreError> {
        self.question(self.inner.person(who)).await
    }

    async fn memberships_of_person(&self, user: UserId) -> Result<Vec<(Membership, Slug)>, StoreError> {
        self.question(self.inner.memberships_of_person(user)).await
    }

    async fn opted_out_since(&self, user: UserId) -> Result<Option<Timestamp>, StoreError> {
        self.question(self.inner.opted_out_since(user)).await
    }

    async fn consents(&self, user: UserId) -> Result<Vec<Consent>, StoreError> {
        self.question(self.inner.consents(user)).await
    }
}

#[async_trait]
impl<S: Store> WorkspaceStore for FaultyStore<S> {
    async fn workspaces_to_purge(&self, now: Timestamp, limit: u32) -> Result<Vec<Workspace>, StoreError> {
        self.question(self.inner.workspaces_to_purge(now, limit)).await
    }

    async fn origins(&self, key: KeyNumber) -> Result<Vec<Origin>, StoreError> {
        self.question(self.inner.origins(key)).await
    }
}

#[async_trait]
impl<S: Store> CreditStore for FaultyStore<S> {
    async fn credit_accounts(
        &self,
        workspace: WorkspaceId,
        after: Option<CreditAccountId>,
        limit: u32,
    ) -> Result<Page<CreditAccount>, StoreError> {
        self.question(self.inner.credit_accounts(workspace, after, limit)).await
    }

    async fn credit_account(
        &self,
        workspace: WorkspaceId,
        subject: CreditSubject,
    ) -> Result<Option<CreditAccount>, StoreError> {
        self.question(self.inner.credit_account(workspace, subject)).await
    }

    async fn credits_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.question(self.inner.credits_due()).await
    }

    async fn draw_credits(&self, draw: CreditDraw) -> Result<CreditGrant, StoreError> {
        self.write(self.inner.draw_credits(draw)).await
    }

    async fn settle_credits(&self, settlements: Vec<CreditSettlement>) -> Result<(), StoreError> {
        self.write(self.inner.settle_credits(settlements)).await
    }
}

#[async_trait]
impl<S: Store> Store for FaultyStore<S> {
    fn attach(&self, sink: Arc<dyn ChangeSink>) {
        self.inner.attach(sink);
    }

    async fn execute(&self, context: Context, command: Command) -> Result<Committed, CommandError> {
        self.write(self.inner.execute(context, command)).await
    }

    async fn flush_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        self.write(self.inner.flush_usage(batch)).await
    }

    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.write(self.inner.put_checkpoint(checkpoint)).await
    }

    async fn load(&self, sink: Box<dyn FnMut(Change) + Send>) -> Result<u64, StoreError> {
        self.question(self.inner.load(sink)).await
    }

    async fn changes_after(&self, sequence: u64, limit: u32) -> Result<Vec<NumberedChange>, StoreError> {
        self.question(self.inner.changes_after(sequence, limit)).await
    }

    async fn is_set_up(&self) -> Result<bool, StoreError> {
        self.question(self.inner.is_set_up()).await
    }

    async fn key(&self, workspace: WorkspaceId, key: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.question(self.inner.key(workspace, key)).await
    }

    async fn keys(&self, query: KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        self.question(self.inner.keys(query)).await
    }

    async fn last_used(&self, keys: Vec<KeyNumber>) -> Result<HashMap<KeyNumber, Vec<LastUsed>>, StoreError> {
        self.question(self.inner.last_used(keys)).await
    }

    async fn workspace(&self, slug: Slug) -> Result<Option<Workspace>, StoreError> {
        self.question(self.inner.workspace(slug)).await
    }

    async fn workspaces(&self, after: Option<Slug>, limit: u32) -> Result<Page<Workspace>, StoreError> {
        self.question(self.inner.workspaces(after, limit)).await
    }

    async fn memberships(&self, workspace: WorkspaceId) -> Result<Vec<Membership>, StoreError> {
        self.question(self.inner.memberships(workspace)).await
    }

    async fn plans(&self) -> Result<Vec<Plan>, StoreError> {
        self.question(self.inner.plans()).await
    }

    async fn catalogue(&self) -> Result<Catalogue, StoreError> {
        self.question(self.inner.catalogue()).await
    }

    async fn operators(&self) -> Result<Vec<OperatorCredential>, StoreError> {
        self.question(self.inner.operators()).await
    }

    async fn incidents(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.question(self.inner.incidents(workspace, limit)).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Page<StoredEntry>, StoreError> {
        self.question(self.inner.audit(query)).await
    }

    async fn audit_after(&self, sequence: u64, limit: u32) -> Result<Vec<StoredEntry>, StoreError> {
        self.question(self.inner.audit_after(sequence, limit)).await
    }

    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.question(self.inner.audit_head()).await
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        self.question(self.inner.checkpoints()).await
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageBucket>, StoreError> {
        self.question(self.inner.usage(query)).await
    }

    async fn ledger(
        &self,
        key: KeyNumber,
        before_minute: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        self.question(self.inner.ledger(key, before_minute, limit)).await
    }

    async fn recent_cost(&self, since_minute: i64) -> Result<RecentCost, StoreError> {
        self.question(self.inner.recent_cost(since_minute)).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.write(self.inner.check_writable()).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.question(self.inner.close()).await
    }
}

#[async_trait]
impl<S: Store> AccountStore for FaultyStore<S> {
    async fn session(&self, digest: TokenDigest) -> Result<Option<SignedIn>, StoreError> {
        self.question(self.inner.session(digest)).await
    }

    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        self.question(self.inner.sessions(user)).await
    }

    async fn invitations(
        &self,
        workspace: WorkspaceId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Page<Invitation>, StoreError> {
        self.question(self.inner.invitations(workspace, after, limit)).await
    }

    async fn invitation_by_digest(
        &self,
        digest: TokenDigest,
    ) -> Result<Option<(Invitation, Workspace)>, StoreError> {
        self.question(self.inner.invitation_by_digest(digest)).await
    }

    async fn recovery(&self, digest: TokenDigest) -> Result<Option<Recovery>, StoreError> {
        self.question(self.inner.recovery(digest)).await
    }

    async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError> {
        self.question(self.inner.second_factor(user)).await
    }

    async fn memberships_of(&self, principal: Principal) -> Result<Vec<Membership>, StoreError> {
        self.question(self.inner.memberships_of(principal)).await
    }
}

#[async_trait]
impl<S: Store> IdentityStore for FaultyStore<S> {
    async fn user_of(&self, identity: ExternalIdentity) -> Result<Option<User>, StoreError> {
        self.question(self.inner.user_of(identity)).await
    }
}
