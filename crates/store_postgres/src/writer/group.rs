//! A group of commands in one transaction: the head that it has locked, and what its commands will ask for, read ahead.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use keywright_domain::{
    change::NumberedChange,
    command::{Command, CommandError, Context, Idempotency, IdempotencyError},
    identity::IdentityCommand,
    ids::{AuditId, KeyId, WorkspaceId},
    key::{ApiKey, KeyChange, KeyNumber},
    member::MemberCommand,
    query::LastUsed,
    store::StoreError,
    time::Timestamp,
    workspace::{Workspace, WorkspaceError},
};
use tokio::{time::timeout, try_join};
use tokio_postgres::Row;

use super::{
    Answer,
    record::Journal,
    transaction::{CommitFault, Transaction},
};
use crate::{
    announcement::Announcer,
    connect::{Connected, Param, Plan},
    fault::Fault,
    params,
    rows::{
        bytes, each,
        installation::{CountedWorkspace, counted_workspace},
        keys::{self, HEAD, ToChange},
        number, optional_text, text, time,
    },
    sealing::{KnownKeys, Sealer},
    sql,
};

/// The last numbers given out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    /// Of the change log.
    pub(super) sequence: u64,
    /// Of the audit trail.
    pub(super) audit: u64,
    /// The hash of the last audit entry.
    pub(super) audit_hash: [u8; 32],
    key: u32,
    workspace: u32,
    membership: u32,
}

/// The head as it was seen: as long as these are the same, nobody has written.
#[derive(Clone, Copy, Debug)]
struct Seen {
    writes: u64,
    sequence: u64,
    generation: u64,
}

impl Seen {
    fn from_row(row: &Row, first: usize) -> Result<Self, Fault> {
        let (writes, sequence) = (number(row, first + 8)?, number(row, first)?);
        Ok(Self { writes, sequence, generation: number(row, first + 6)? })
    }
}

impl Heads {
    fn from_row(row: &Row, first: usize) -> Result<Self, Fault> {
        Ok(Self {
            sequence: number(row, first)?,
            audit: number(row, first + 1)?,
            audit_hash: bytes(row, first + 2)?,
            key: number(row, first + 3)?,
            workspace: number(row, first + 4)?,
            membership: number(row, first + 5)?,
        })
    }

    /// The last key's number that was given out.
    pub(super) const fn last_key(&self) -> u32 {
        self.key
    }

    /// The numbers as the table keeps them.
    pub(super) fn columns(self) -> Vec<Param> {
        let Self { sequence, audit, audit_hash, key, workspace, membership } = self;
        params![sequence, audit, audit_hash, key, workspace, membership]
    }

    /// The last workspace's number that was given out.
    pub(super) const fn last_workspace(&self) -> u32 {
        self.workspace
    }

    /// The next key's number.
    pub(super) fn next_key(&mut self) -> Result<u32, Fault> {
        next(&mut self.key)
    }

    /// The next workspace's number.
    pub(super) fn next_workspace(&mut self) -> Result<u32, Fault> {
        next(&mut self.workspace)
    }

    /// The next membership's number.
    pub(super) fn next_membership(&mut self) -> Result<u32, Fault> {
        next(&mut self.membership)
    }
}

/// The heads, if the server continues the history that the current generation was begun in. After a fail-over it does
/// not, until the nodes have begun a new one: what is committed before would be numbered like what was lost.
/// The columns of the head begin at `first`.
fn heads_in(row: &Row, first: usize, epoch: &str) -> Result<(Heads, Seen), Fault> {
    let (generation, begun_in) = (number::<u64>(row, first + 6)?, text(row, first + 7)?);
    if generation > 0 && begun_in != epoch {
        let text = "the database server continues another history than before, as after a fail-over; changes are \
                    taken again when the nodes have begun a new generation, usually within seconds";
        return Err(StoreError::Unavailable(text.to_owned()).into());
    }
    Ok((Heads::from_row(row, first)?, Seen::from_row(row, first)?))
}

fn next(number: &mut u32) -> Result<u32, Fault> {
    *number = number.checked_add(1).ok_or_else(|| Fault::Damaged("all numbers are used up".to_owned()))?;
    Ok(*number)
}

/// A call that is remembered.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) fingerprint: [u8; 32],
    pub(super) target: String,
    pub(super) hint: Option<String>,
    pub(super) created_at: Timestamp,
}

/// Commands in one transaction, and the state as its writes leave it.
pub(super) struct Group {
    pub(super) transaction: Transaction,
    pub(super) heads: Heads,
    seen: Seen,
    /// Workspaces that were asked for; those that are not there are `None`.
    workspaces: HashMap<WorkspaceId, Option<CountedWorkspace>>,
    /// Workspaces whose number of keys is not written yet.
    recounted: Vec<WorkspaceId>,
    /// Keys that were asked for, deleted or not; those that are not there are `None`.
    keys: HashMap<KeyId, Option<ApiKey>>,
    /// When the secrets of keys that are changed were last used.
    last_uses: HashMap<KeyNumber, Vec<LastUsed>>,
    /// Calls that were asked for, by actor and key.
    pub(super) repeats: HashMap<(String, String), Remembered>,
    pub(super) journal: Journal,
    pub(super) sealer: Sealer,
    /// Whether someone is told that something took place, now or before.
    pub(super) is_effective: bool,
    announcer: Arc<Announcer>,
}

/// Why a group has no answers.
pub(super) enum Lost {
    /// Nothing was changed.
    Before(Fault),
    /// A command failed halfway: its writes cannot be told from those of the others.
    Entangled(CommandError),
    /// The commit was sent, and what became of it is not known.
    Unknown(Box<Pending>, Fault),
    /// The commit took place, but may be lost.
    NotDurable(Box<Pending>, String),
}

impl From<Fault> for Lost {
    fn from(fault: Fault) -> Self {
        Self::Before(fault)
    }
}

/// A group whose commit was sent.
pub(super) struct Pending {
    pub(super) answers: Vec<Answer>,
    pub(super) changes: Vec<NumberedChange>,
    /// The ids of its audit entries: they are there if, and only if, the commit took place.
    pub(super) audit_ids: Vec<AuditId>,
    /// The head of the log before it.
    pub(super) after: u64,
    /// Data keys that are in the database if the commit took place.
    pub(super) known: KnownKeys,
}

pub(super) const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit TO on";

impl Group {
    /// Begins a transaction, locks the head, and reads what the commands name. One round trip.
    pub(super) async fn begin(
        connected: &Arc<Connected>,
        plan: &Plan,
        commands: &[(Context, Command)],
        sealer: Sealer,
    ) -> Result<Self, Fault> {
        let wanted = Wanted::of(commands);
        let transaction = Transaction::new(Arc::clone(connected), plan.options.answer_timeout);
        let answers = {
            let connected = transaction.connected();
            let together = async {
                // Polled, and so sent, in this order.
                try_join!(
                    biased;
                    connected.batch(BEGIN),
                    connected.first(sql::journal::LOCK_HEAD, params![]),
                    wanted.read(connected, sql::installation::WORKSPACES_BY_IDS, wanted.workspaces()),
                    wanted.read(connected, sql::keys::BY_IDS, wanted.keys()),
                    wanted.read(connected, sql::keys::TO_CHANGE, wanted.changed_keys()),
                    wanted.read(connected, sql::journal::IDEMPOTENCY, wanted.repeats()),
                )
            };
            timeout(plan.options.answer_timeout, together)
                .await
                .map_err(|_| Fault::Silent)
                .and_then(|done| done)
        };
        match answers {
            Ok(((), head, workspaces, keys, changed_keys, repeats)) => {
                let found = Found { head, head_first: 0, workspaces, keys, changed_keys, repeats };
                Self::with(transaction, wanted, &found, Arc::clone(&plan.announcer), sealer).await
            }
            Err(fault) => {
                abandon(transaction, &fault).await;
                Err(fault)
            }
        }
    }

    /// The key that a command writes, and nothing beside: alone, it can be carried out on what is seen without a lock.
    pub(super) const fn only_key((context, command): &(Context, Command)) -> Option<KeyId> {
        match command {
            Command::ChangeKey {
                key,
                change:
                    KeyChange::Patch(_) | KeyChange::Disable | KeyChange::Enable | KeyChange::Revoke { .. },
            } if context.idempotency.is_none() => Some(*key),
            _ => None,
        }
    }

    /// Locks nothing and sees, at one moment, the head and a key. One round trip.
    pub(super) async fn see(
        connected: &Arc<Connected>,
        plan: &Plan,
        key: KeyId,
        sealer: Sealer,
    ) -> Result<Self, Fault> {
        let wanted = Wanted { changed_keys: HashSet::from([key]), ..Wanted::default() };
        let transaction = Transaction::kept_back(Arc::clone(connected), plan.options.answer_timeout);
        let seeing = connected.query(sql::keys::SEE_TO_CHANGE, params![key.to_bytes()]);
        let seen = timeout(plan.options.answer_timeout, seeing).await;
        match seen.map_err(|_| Fault::Silent).and_then(|seen| seen) {
            Ok(rows) => {
                let head = rows.first().cloned();
                let found = Found { head, head_first: HEAD, changed_keys: rows, ..Found::default() };
                Self::with(transaction, wanted, &found, Arc::clone(&plan.announcer), sealer).await
            }
            Err(fault) => {
                abandon(transaction, &fault).await;
                Err(fault)
            }
        }
    }

    async fn with(
        transaction: Transaction,
        wanted: Wanted,
        found: &Found,
        announcer: Arc<Announcer>,
        sealer: Sealer,
    ) -> Result<Self, Fault> {
        let missing = || Fault::Damaged("the table head is empty".to_owned());
        let epoch = &transaction.connected().settings.epoch;
        let head = found.head.as_ref().ok_or_else(missing);
        let (heads, seen) = match head.and_then(|row| heads_in(row, found.head_first, epoch)) {
            Ok(heads) => heads,
            Err(fault) => {
                transaction.roll_back().await;
                return Err(fault);
            }
        };
        let mut group = Self {
            transaction,
            heads,
            seen,
            workspaces: wanted.workspaces.into_iter().map(|id| (id, None)).collect(),
            recounted: Vec::new(),
            keys: wanted.keys.iter().chain(&wanted.changed_keys).map(|id| (*id, None)).collect(),
            last_uses: HashMap::new(),
            repeats: HashMap::new(),
            journal: Journal::default(),
            sealer,
            is_effective: false,
            announcer,
        };
        match group.learn(found) {
            Ok(()) => Ok(group),
            Err(fault) => {
                group.transaction.roll_back().await;
                Err(fault)
            }
        }
    }

    fn learn(&mut self, found: &Found) -> Result<(), Fault> {
        for workspace in each(&found.workspaces, counted_workspace)? {
            self.workspaces.insert(workspace.workspace.id, Some(workspace));
        }
        for key in keys::with_secrets(&found.keys)? {
            self.keys.insert(key.id, Some(key));
        }
        self.learn_changed_keys(&found.changed_keys)?;
        for row in &found.repeats {
            let remembered = Remembered {
                fingerprint: bytes(row, 2)?,
                target: text(row, 3)?.to_owned(),
                hint: optional_text(row, 4)?.map(str::to_owned),
                created_at: time(row, 5)?,
            };
            self.repeats.insert((text(row, 0)?.to_owned(), text(row, 1)?.to_owned()), remembered);
        }
        Ok(())
    }

    /// Keys that are to be changed, with what is shown of them afterwards.
    fn learn_changed_keys(&mut self, rows: &[Row]) -> Result<(), Fault> {
        for ToChange { key, last_uses, workspace } in keys::to_change(rows)? {
            self.last_uses.insert(key.number, last_uses);
            self.keys.insert(key.id, Some(key));
            self.workspaces.insert(workspace.workspace.id, Some(workspace));
        }
        Ok(())
    }

    /// The workspace with this id.
    pub(super) async fn workspace(&mut self, id: WorkspaceId) -> Result<&CountedWorkspace, Fault> {
        if !self.workspaces.contains_key(&id) {
            let row =
                self.transaction.first(sql::installation::WORKSPACE_BY_ID, params![id.to_bytes()]).await?;
            self.workspaces.insert(id, row.as_ref().map(counted_workspace).transpose()?);
        }
        Ok(self.workspaces[&id].as_ref().ok_or(WorkspaceError::NotFound)?)
    }

    /// A workspace is now so.
    pub(super) fn keep_workspace(&mut self, workspace: &Workspace) {
        let known = self.workspaces.entry(workspace.id).or_default();
        let key_count = known.as_ref().map_or(0, |known| known.key_count);
        *known = Some(CountedWorkspace { workspace: workspace.clone(), key_count });
    }

    /// Nothing is left of the workspace.
    pub(super) fn forget_workspace(&mut self, id: WorkspaceId) {
        self.workspaces.insert(id, None);
        self.keys.retain(|_, key| key.as_ref().is_none_or(|key| key.workspace != id));
    }

    /// The workspace, which is known, has more or fewer keys.
    pub(super) fn count(&mut self, id: WorkspaceId, difference: i32) {
        if let Some(Some(known)) = self.workspaces.get_mut(&id) {
            known.key_count = known.key_count.saturating_add_signed(difference);
            if !self.recounted.contains(&id) {
                self.recounted.push(id);
            }
        }
    }

    /// The key with this id, deleted or not.
    pub(super) async fn key(&mut self, id: KeyId) -> Result<Option<ApiKey>, Fault> {
        if !self.keys.contains_key(&id) {
            let rows = self.transaction.query(sql::keys::BY_IDS, params![vec![id.to_bytes()]]).await?;
            self.keys.insert(id, keys::with_secrets(&rows)?.pop());
        }
        Ok(self.keys[&id].clone())
    }

    /// When the secrets of a key were last used that a command of the group changes.
    pub(super) fn last_uses(&self, key: KeyNumber) -> Vec<LastUsed> {
        self.last_uses.get(&key).cloned().unwrap_or_default()
    }

    /// Asks for keys ahead that will be needed one by one.
    pub(super) async fn learn_keys(&mut self, ids: &[KeyId]) -> Result<(), Fault> {
        let unknown: Vec<_> =
            ids.iter().filter(|id| !self.keys.contains_key(id)).map(|id| id.to_bytes()).collect();
        let rows = self.transaction.query(sql::keys::BY_IDS, params![unknown]).await?;
        for key in keys::with_secrets(&rows)? {
            self.keys.insert(key.id, Some(key));
        }
        Ok(())
    }

    /// A key is now so.
    pub(super) fn keep_key(&mut self, key: &ApiKey) {
        self.keys.insert(key.id, Some(key.clone()));
    }

    /// Commits the transaction, if there is anything to commit. `None` if it had not begun, and cannot be written so: somebody
    /// has written meanwhile, or it is not one change of one key.
    pub(super) async fn commit(mut self, after: u64, answers: Vec<Answer>) -> Result<Option<Pending>, Lost> {
        if !self.is_effective && self.transaction.written() == 0 {
            self.transaction.roll_back().await;
            let known = self.sealer.into_known();
            return Ok(Some(Pending { answers, changes: Vec::new(), audit_ids: Vec::new(), after, known }));
        }
        self.write_key_counts();
        let (values, audit_ids) = if self.transaction.is_kept_back() {
            let Some((mut values, id)) = self.journal.columns_of_one(self.heads, &self.announcer) else {
                return Ok(None);
            };
            let Seen { writes, sequence, generation } = self.seen;
            values.extend(params![writes, sequence, generation]);
            (values, vec![id])
        } else {
            self.journal.columns(self.heads, &self.announcer)
        };
        let changes = std::mem::take(&mut self.journal.changes);
        let known = self.sealer.into_known();
        let pending = Box::new(Pending { answers, changes, audit_ids, after, known });
        let written = if self.transaction.is_kept_back() {
            self.transaction.write_kept(values).await
        } else {
            self.transaction.write(sql::journal::WRITE_JOURNAL, values);
            self.transaction.commit().await.map(|()| true)
        };
        match written {
            Ok(true) => Ok(Some(*pending)),
            Ok(false) => Ok(None),
            Err(CommitFault::RolledBack(fault)) => Err(Lost::Before(fault)),
            Err(CommitFault::Unknown(fault)) => Err(Lost::Unknown(pending, fault)),
            Err(CommitFault::NotDurable(text)) => Err(Lost::NotDurable(pending, text)),
        }
    }

    fn write_key_counts(&mut self) {
        let recounted: Vec<_> =
            self.recounted.iter().filter_map(|id| self.workspaces.get(id)?.as_ref()).collect();
        if !recounted.is_empty() {
            let numbers: Vec<_> = recounted.iter().map(|known| known.workspace.number.0).collect();
            let counts: Vec<_> = recounted.iter().map(|known| known.key_count).collect();
            self.transaction.write(sql::installation::UPDATE_KEY_COUNTS, params![numbers, counts]);
        }
    }
}

/// Ends a transaction that failed, unless its connection is lost anyway.
async fn abandon(transaction: Transaction, fault: &Fault) {
    if fault.ends_connection() {
        transaction.connected().give_up();
    } else {
        transaction.roll_back().await;
    }
}

/// What was read when the transaction began.
#[derive(Default)]
struct Found {
    head: Option<Row>,
    /// Where its columns begin.
    head_first: usize,
    workspaces: Vec<Row>,
    keys: Vec<Row>,
    changed_keys: Vec<Row>,
    repeats: Vec<Row>,
}

/// What commands name.
#[derive(Default)]
struct Wanted {
    workspaces: HashSet<WorkspaceId>,
    keys: HashSet<KeyId>,
    /// Keys that are changed, and shown afterwards.
    changed_keys: HashSet<KeyId>,
    repeats: HashSet<(String, String)>,
}

impl Wanted {
    fn of(commands: &[(Context, Command)]) -> Self {
        let mut wanted = Self::default();
        for (context, command) in commands {
            if let Some(Idempotency { actor, key, .. }) = &context.idempotency {
                wanted.repeats.insert((actor.clone(), key.clone()));
            }
            match command {
                Command::CreateKey(_)
                | Command::RevokeKeys { .. }
                | Command::Credit(_)
                | Command::Prompt(_)
                | Command::Invitation(_) => {
                    wanted.workspaces.extend(context.permit.workspace());
                }
                Command::Member(command) => {
                    wanted.workspaces.extend(context.permit.workspace());
                    if let MemberCommand::HandOverKey { key, .. } = command {
                        wanted.keys.insert(*key);
                    }
                }
                // Its workspace comes with it. If it is not there, or elsewhere, that is asked for later.
                Command::ChangeKey { key, .. } => {
                    wanted.changed_keys.insert(*key);
                }
                Command::Redigest(items) => wanted.keys.extend(items.iter().map(|item| item.key)),
                Command::PatchWorkspace { workspace, .. }
                | Command::SettleLease { workspace, .. }
                | Command::CreateMember { workspace, .. } => {
                    wanted.workspaces.insert(*workspace);
                }
                Command::Identity(command) => {
                    if let IdentityCommand::Join { workspace, .. } = command {
                        wanted.workspaces.insert(*workspace);
                    }
                }
                Command::Workspace(command) => {
                    wanted.workspaces.insert(command.workspace());
                }
                Command::Bootstrap(_)
                | Command::CreateWorkspace(_)
                | Command::PutPlan(_)
                | Command::DeletePlan(_)
                | Command::PutPermission { .. }
                | Command::CreateOperator(_)
                | Command::RevokeOperator(_)
                | Command::Privacy(_)
                | Command::Account(_)
                | Command::Credential(_) => {}
            }
        }
        wanted
    }

    fn workspaces(&self) -> Option<Vec<Param>> {
        let ids: Vec<_> = self.workspaces.iter().map(|id| id.to_bytes()).collect();
        (!ids.is_empty()).then(|| params![ids])
    }

    fn keys(&self) -> Option<Vec<Param>> {
        let ids: Vec<_> = self.keys.iter().map(|id| id.to_bytes()).collect();
        (!ids.is_empty()).then(|| params![ids])
    }

    fn changed_keys(&self) -> Option<Vec<Param>> {
        let ids: Vec<_> = self.changed_keys.iter().map(|id| id.to_bytes()).collect();
        (!ids.is_empty()).then(|| params![ids])
    }

    fn repeats(&self) -> Option<Vec<Param>> {
        let (actors, keys): (Vec<String>, Vec<String>) = self.repeats.iter().cloned().unzip();
        (!actors.is_empty()).then(|| params![actors, keys])
    }

    async fn read(
        &self,
        connected: &Connected,
        statement: &'static str,
        params: Option<Vec<Param>>,
    ) -> Result<Vec<Row>, Fault> {
        match params {
            Some(params) => connected.query(statement, params).await,
            None => Ok(Vec::new()),
        }
    }
}

/// Refuses a repeat of a call that is remembered.
pub(super) fn check_repeat(
    remembered: Option<&Remembered>,
    asked: &Idempotency,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(known) = remembered else { return Ok(()) };
    if known.created_at.plus_seconds(keywright_domain::caps::IDEMPOTENCY_SECONDS) <= now {
        return Ok(());
    }
    if known.fingerprint != asked.fingerprint {
        return Err(IdempotencyError::Mismatch.into());
    }
    let (target, hint) = (known.target.clone(), known.hint.clone());
    Err(IdempotencyError::AlreadyApplied { target, hint }.into())
}
