//! What every command has in common: its permit, its repeats, its rows of the change log and of the audit trail.

use keywright_domain::{
    audit::{AuditBody, AuditTarget, FieldChange, PersonalData, entry_hash},
    caps,
    change::{Change, EntityRef, NumberedChange},
    command::{Command, CommandError, Committed, Context, Idempotency, Outcome},
    control::Announcement,
    credit,
    ids::{AuditId, UserId, WorkspaceId},
    key::{Effect, KeyNumber},
    lease::LeaseTerm,
    permit::Action,
    principal::Principal,
    privacy::Collection,
    time::Timestamp,
    vault::KeyOwner,
    workspace::{Workspace, WorkspaceNumber},
};

use super::{
    Answer,
    group::{Group, Heads, Lost, Remembered, check_repeat},
};
use crate::{
    announcement::Announcer,
    connect::Param,
    fault::Fault,
    params,
    rows::journal::entity_columns,
    sql::{journal as sql, privacy as sql_privacy},
};

/// What a command works with.
pub(super) struct Scope<'group> {
    pub(super) group: &'group mut Group,
    /// The numbers as this command leaves them.
    pub(super) heads: &'group mut Heads,
    pub(super) context: &'group Context,
}

/// What a command did, before it is numbered and recorded.
pub(super) struct Draft {
    pub(super) outcome: Outcome,
    /// What a repeat is told: an id or a name.
    pub(super) target: String,
    /// The hint of the secret that was issued.
    pub(super) hint: Option<String>,
    pub(super) changes: Vec<(EntityRef, Effect, Change)>,
    /// The keys of those changes that only revoked one.
    pub(super) revoked: Vec<KeyNumber>,
    pub(super) entries: Vec<Entry>,
    /// How many keys more or fewer a workspace has.
    pub(super) counted: Option<(WorkspaceId, i32)>,
    /// A workspace that changed.
    pub(super) workspace: Option<Workspace>,
    /// A workspace of which nothing is left.
    pub(super) purged: Option<WorkspaceId>,
    /// What the workspace that the command is about waits for.
    pub(super) wait: Option<LeaseTerm>,
}

impl Draft {
    /// A draft without changes.
    pub(super) const fn new(outcome: Outcome, target: String) -> Self {
        Self {
            outcome,
            target,
            hint: None,
            changes: Vec::new(),
            revoked: Vec::new(),
            entries: Vec::new(),
            counted: None,
            workspace: None,
            purged: None,
            wait: None,
        }
    }
}

/// An audit entry, before it is numbered.
pub(super) struct Entry {
    pub(super) action: &'static str,
    pub(super) kind: &'static str,
    pub(super) target: String,
    pub(super) workspace: Option<(WorkspaceId, WorkspaceNumber)>,
    pub(super) reason: Option<String>,
    pub(super) fields: Vec<FieldChange>,
}

impl Entry {
    /// The entry about a person.
    pub(super) fn of_user(action: &'static str, user: UserId, fields: Vec<FieldChange>) -> Self {
        Self { action, kind: "user", target: user.to_string(), workspace: None, reason: None, fields }
    }
}

/// Rows of the change log and of the audit trail that are written when the group ends, all at once.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) changes: Vec<NumberedChange>,
    /// The keys of those changes that only revoked one.
    revoked: Vec<KeyNumber>,
    rows: ChangeRows,
    audit: AuditRows,
    personal: PersonalRows,
}

#[derive(Default)]
struct PersonalRows {
    sequences: Vec<u64>,
    times: Vec<Timestamp>,
    kinds: Vec<i64>,
    owners: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
}

#[derive(Default)]
struct ChangeRows {
    sequences: Vec<u64>,
    kinds: Vec<i64>,
    restricting: Vec<bool>,
    numbers: Vec<Option<u32>>,
    names: Vec<Option<String>>,
}

#[derive(Default)]
struct AuditRows {
    sequences: Vec<u64>,
    ids: Vec<AuditId>,
    hashes: Vec<[u8; 32]>,
    workspaces: Vec<Option<u32>>,
    actions: Vec<&'static str>,
    targets: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

impl Journal {
    fn add_change(&mut self, heads: &mut Heads, entity: &EntityRef, effect: Effect, change: Change) {
        heads.sequence += 1;
        let restricting = effect == Effect::Restricting;
        let (kind, number, name) = entity_columns(entity);
        self.rows.sequences.push(heads.sequence);
        self.rows.kinds.push(kind);
        self.rows.restricting.push(restricting);
        self.rows.numbers.push(number);
        self.rows.names.push(name.map(str::to_owned));
        self.changes.push(NumberedChange { sequence: heads.sequence, restricting, change });
    }

    /// Appends to the audit trail.
    fn add_entry(
        &mut self,
        heads: &mut Heads,
        (context, personal, position): (&Context, &PersonalData, u64),
        entry: Entry,
    ) {
        let body = AuditBody {
            id: derived_id(context.audit_id, position),
            at: context.now,
            action: entry.action.to_owned(),
            target: AuditTarget { kind: entry.kind.to_owned(), id: entry.target },
            workspace: entry.workspace.map(|(id, _)| id),
            actor: context.permit.actor().for_audit(),
            request_id: context.request_id,
            reason: entry.reason,
            fields: entry.fields,
            personal: personal.commitment_hex(),
        };
        let bytes = serde_json::to_vec(&body).expect("an audit body has string keys only");
        heads.audit += 1;
        heads.audit_hash = entry_hash(&heads.audit_hash, heads.audit, &bytes);
        self.audit.sequences.push(heads.audit);
        self.audit.ids.push(body.id);
        self.audit.hashes.push(heads.audit_hash);
        self.audit.workspaces.push(entry.workspace.map(|(_, number)| number.0));
        self.audit.actions.push(entry.action);
        self.audit.targets.push(body.target.id);
        self.audit.bodies.push(bytes);
    }

    /// Personal data of the last audit entry.
    fn add_personal(&mut self, sequence: u64, at: Timestamp, owner: KeyOwner, sealed: Vec<u8>) {
        let (kind, id) = owner.columns();
        self.personal.sequences.push(sequence);
        self.personal.times.push(at);
        self.personal.kinds.push(i64::from(kind));
        self.personal.owners.push(id);
        self.personal.sealed.push(sealed);
    }

    /// All rows and the heads, with an announcement if there is a change, as the parameters of the statement that writes them;
    /// and the ids of the audit entries.
    pub(super) fn columns(&mut self, heads: Heads, texts: &Announcer) -> (Vec<Param>, Vec<AuditId>) {
        let mut values = heads.columns();
        let ChangeRows { sequences, kinds, restricting, numbers, names } = std::mem::take(&mut self.rows);
        let announced =
            if sequences.is_empty() { String::new() } else { self.announcement(texts, heads.sequence) };
        values.extend(params![sequences, kinds, restricting, numbers, names]);
        let AuditRows { sequences, ids, hashes, workspaces, actions, targets, bodies } =
            std::mem::take(&mut self.audit);
        let raw: Vec<_> = ids.iter().map(|id| id.to_bytes()).collect();
        values.extend(params![sequences, raw, hashes, workspaces, actions, targets, bodies]);
        let PersonalRows { sequences, times, kinds, owners, sealed } = std::mem::take(&mut self.personal);
        values.extend(params![sequences, times, kinds, owners, sealed, texts.channel(), announced]);
        (values, ids)
    }

    /// The same where it is one change with one audit entry: each parameter is one value. `None` if it is more or less.
    pub(super) fn columns_of_one(
        &mut self,
        heads: Heads,
        texts: &Announcer,
    ) -> Option<(Vec<Param>, AuditId)> {
        macro_rules! only {
            ($($column:expr),+) => { params![$($column.pop()?),+] };
        }
        if [self.changes.len(), self.audit.ids.len(), self.personal.sequences.len()] != [1, 1, 1] {
            return None;
        }
        let Self { rows, audit, personal, .. } = self;
        let id = audit.ids.pop()?;
        let mut values = heads.columns();
        values.extend(only![rows.sequences, rows.kinds, rows.restricting, rows.numbers, rows.names]);
        values.extend(only![audit.sequences]);
        values.extend(params![id.to_bytes()]);
        values.extend(only![audit.hashes, audit.workspaces, audit.actions, audit.targets, audit.bodies]);
        values.extend(only![
            personal.sequences,
            personal.times,
            personal.kinds,
            personal.owners,
            personal.sealed
        ]);
        values.extend(params![texts.channel(), self.announcement(texts, heads.sequence)]);
        Some((values, id))
    }

    /// What the others are told: also which keys were revoked, if nothing else happened.
    fn announcement(&mut self, texts: &Announcer, sequence: u64) -> String {
        let revoked = std::mem::take(&mut self.revoked);
        let is_all = revoked.len() == self.changes.len();
        texts.text(&Announcement { sequence, revoked: if is_all { revoked } else { Vec::new() } })
    }
}

impl Group {
    /// Carries out one command. If it is refused, it has left nothing behind.
    pub(super) async fn attempt(&mut self, context: &Context, command: Command) -> Result<Answer, Lost> {
        let written = self.transaction.written();
        match self.carry_out(context, command).await {
            Ok(committed) => {
                self.is_effective = true;
                Ok(Ok(committed))
            }
            Err(Fault::Refused(refusal)) if self.transaction.written() == written => {
                // A repeat is told that its effect stands: that must be as durable as the first time.
                self.is_effective |= matches!(refusal, CommandError::Idempotency(_));
                Ok(Err(refusal))
            }
            Err(Fault::Refused(refusal)) => Err(Lost::Entangled(refusal)),
            Err(fault) => Err(Lost::Before(fault)),
        }
    }

    async fn carry_out(&mut self, context: &Context, command: Command) -> Result<Committed, Fault> {
        check_permit(context, &command)?;
        if let Some(asked) = &context.idempotency {
            let remembered = self.repeats.get(&(asked.actor.clone(), asked.key.clone()));
            check_repeat(remembered, asked, context.now)?;
        }
        let mut heads = self.heads;
        let reach = command.reach();
        let mut draft = Scope { group: self, heads: &mut heads, context }.apply(command).await?;
        self.fill_in(&mut draft).await?;
        let personal = if draft.entries.is_empty() { None } else { Some(self.personal_of(context).await?) };
        let personal = personal.as_ref().unwrap_or(&context.personal);
        let restricting = draft.changes.iter().any(|(_, effect, _)| *effect == Effect::Restricting);
        self.journal.revoked.append(&mut draft.revoked);
        for (entity, effect, change) in draft.changes {
            self.journal.add_change(&mut heads, &entity, effect, change);
        }
        for (position, entry) in (0..).zip(draft.entries) {
            self.journal.add_entry(&mut heads, (context, personal, position), entry);
            let owner = KeyOwner::of(context.permit.actor(), context.now);
            let (owner, key) = self.sealer.key_for(&mut self.transaction, owner, context.now).await?;
            let sealed = self.sealer.seal_personal(&key, heads.audit, personal);
            self.journal.add_personal(heads.audit, context.now, owner, sealed);
        }
        if let Some(asked) = &context.idempotency {
            self.keep_repeat(asked, context, draft.target, draft.hint);
        }
        if let Some((workspace, difference)) = draft.counted {
            self.count(workspace, difference);
        }
        if let Some(workspace) = draft.workspace {
            self.keep_workspace(&workspace);
        }
        if let Some(workspace) = draft.purged {
            self.forget_workspace(workspace);
        }
        self.heads = heads;
        let wait = reach.wait(draft.wait);
        Ok(Committed { sequence: heads.sequence, restricting, wait, outcome: draft.outcome })
    }

    /// Fills in what the members of the changes chose.
    async fn fill_in(&mut self, draft: &mut Draft) -> Result<(), Fault> {
        for (_, _, change) in &mut draft.changes {
            let Change::Membership(view) = change else { continue };
            if let Principal::User(user) = view.principal
                && self.is_opted_out(user).await?
            {
                view.collection = Collection::OptedOut;
            }
        }
        Ok(())
    }

    /// What is recorded of where the call came from: nothing when the person who acts opted out.
    async fn personal_of(&mut self, context: &Context) -> Result<PersonalData, Fault> {
        match KeyOwner::of(context.permit.actor(), context.now) {
            KeyOwner::Person(user) if self.is_opted_out(user).await? => Ok(context.personal.without_origin()),
            _ => Ok(context.personal.clone()),
        }
    }

    /// Whether a person opted out of collection.
    pub(super) async fn is_opted_out(&mut self, user: UserId) -> Result<bool, Fault> {
        let row = self.transaction.first(sql_privacy::OPTED_OUT, params![user.to_bytes()]).await?;
        Ok(row.is_some())
    }

    fn keep_repeat(&mut self, asked: &Idempotency, context: &Context, target: String, hint: Option<String>) {
        let Idempotency { actor, key, fingerprint } = asked;
        let values = params![actor, key, *fingerprint, &target, hint.as_deref(), context.now];
        self.transaction.write(sql::PUT_IDEMPOTENCY, values);
        let expired = context.now.plus_seconds(-caps::IDEMPOTENCY_SECONDS);
        self.transaction.write(sql::PRUNE_IDEMPOTENCY, params![expired]);
        let remembered = Remembered { fingerprint: *fingerprint, target, hint, created_at: context.now };
        self.repeats.insert((actor.clone(), key.clone()), remembered);
    }
}

impl Scope<'_> {
    async fn apply(&mut self, command: Command) -> Result<Draft, Fault> {
        match command {
            Command::Bootstrap(bootstrap) => self.bootstrap(*bootstrap).await,
            Command::CreateKey(new) => self.create_key(*new).await,
            Command::ChangeKey { key, change } => self.change_key(key, change).await,
            Command::RevokeKeys { filter, reason } => self.revoke_keys(&filter, reason.as_deref()).await,
            Command::Redigest(items) => self.redigest(&items).await,
            Command::CreateWorkspace(new) => self.create_workspace(*new).await,
            Command::PatchWorkspace { workspace, patch } => self.patch_workspace(workspace, patch).await,
            Command::Workspace(command) => self.workspace_command(&command).await,
            Command::SettleLease { workspace, version } => self.settle_lease(workspace, version).await,
            Command::CreateMember { user, workspace, role } => {
                self.create_member(&user, workspace, role).await
            }
            Command::PutPlan(plan) => self.put_plan(plan).await,
            Command::DeletePlan(name) => self.delete_plan(&name).await,
            Command::PutPermission { name, description } => self.put_permission(name, description).await,
            Command::CreateOperator(new) => self.create_operator(*new).await,
            Command::RevokeOperator(id) => self.revoke_operator(id).await,
            Command::Privacy(command) => self.privacy(&command).await,
            Command::Identity(command) => self.identity(command).await,
            Command::Member(command) => self.change_members(command).await,
            Command::Credit(command) => self.credit(&command).await,
            Command::Prompt(command) => self.prompt_command(command).await,
            Command::Account(command) => self.account_command(command).await,
            Command::Invitation(command) => self.invitation_command(command).await,
            Command::Credential(command) => self.credential_command(command).await,
        }
    }
}

/// Refuses a command whose permit is for something else.
fn check_permit(context: &Context, command: &Command) -> Result<(), CommandError> {
    let permit = &context.permit;
    let is_covered = match command {
        // These carry no workspace of their own: they act on the permit's.
        Command::CreateKey(_) | Command::ChangeKey { .. } | Command::RevokeKeys { .. } => {
            permit.workspace().is_some() && permit.covers(Action::WriteKeys, permit.workspace())
        }
        Command::Member(command) => {
            permit.workspace().is_some() && permit.covers(command.needs(), permit.workspace())
        }
        Command::Credit(command) => {
            let (action, scope) = command.needs();
            permit.covers(action, permit.workspace())
                && permit.workspace().is_some() == (scope == credit::Scope::Workspace)
        }
        Command::Prompt(_) => {
            permit.workspace().is_some() && permit.covers(Action::WritePrompts, permit.workspace())
        }
        Command::PatchWorkspace { workspace, .. } => permit.covers(Action::WriteWorkspace, Some(*workspace)),
        Command::Workspace(command) => {
            let (action, workspace) = command.needs();
            permit.covers(action, workspace)
        }
        Command::Bootstrap(_)
        | Command::Redigest(_)
        | Command::CreateWorkspace(_)
        | Command::SettleLease { .. }
        | Command::CreateMember { .. }
        | Command::Identity(_)
        | Command::PutPlan(_)
        | Command::DeletePlan(_)
        | Command::PutPermission { .. }
        | Command::CreateOperator(_)
        | Command::RevokeOperator(_) => permit.covers(Action::Operate, None),
        Command::Privacy(command) => command.is_permitted(permit),
        Command::Account(command) => command.is_permitted(permit),
        Command::Credential(command) => command.is_permitted(permit),
        Command::Invitation(command) => {
            let place = permit.workspace();
            permit.covers(command.needs(), place)
                && place.is_some() == (command.needs() == Action::WriteMembers)
        }
    };
    if is_covered { Ok(()) } else { Err(CommandError::Permit) }
}

/// The id of a command's entry at `position`: the first has the id given, the others count on from it.
fn derived_id(first: AuditId, position: u64) -> AuditId {
    let id = u128::from_be_bytes(first.to_bytes()).wrapping_add(u128::from(position));
    AuditId::from_bytes(id.to_be_bytes())
}
