//! What every command has in common: its permit, its repeats, its rows of the change log and of the audit trail.

use keywright_domain::{
    audit::{AuditBody, AuditTarget, FieldChange, PersonalData, entry_hash},
    caps,
    change::{Change, EntityRef, NumberedChange},
    command::{Command, CommandError, Committed, Context, Idempotency, IdempotencyError, Outcome},
    credit,
    ids::{AuditId, UserId, WorkspaceId},
    key::Effect,
    lease::LeaseTerm,
    permit::Action,
    vault::KeyOwner,
    workspace::{Workspace, WorkspaceNumber},
};
use rusqlite::{Connection, params};

use super::{Writer, cache::Workspaces};
use crate::{
    fault::Fault,
    rows::{
        bytes, choices,
        installation::{count, first},
        journal::{ChangeRow, audit_head, insert_change},
        optional_text, text, time,
    },
    sealing::Sealer,
    sql,
};

/// The last numbers given out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// Of the change log.
    pub(crate) sequence: u64,
    audit: u64,
    audit_hash: [u8; 32],
    key: u32,
    workspace: u32,
    membership: u32,
}

impl Heads {
    /// Reads them from the database.
    pub(crate) fn read(connection: &Connection) -> Result<Self, Fault> {
        let last = |statement| -> Result<u64, Fault> { count(connection, statement, []) };
        let number = |statement| -> Result<u32, Fault> {
            u32::try_from(last(statement)?).map_err(|_| Fault::Damaged("a number is out of range".to_owned()))
        };
        let (audit, audit_hash) = audit_head(connection)?;
        Ok(Self {
            sequence: last(sql::journal::LAST_CHANGE)?,
            audit,
            audit_hash,
            key: number(sql::keys::LAST_NUMBER)?,
            workspace: number(sql::installation::LAST_WORKSPACE)?,
            membership: number(sql::installation::LAST_MEMBERSHIP)?,
        })
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

fn next(number: &mut u32) -> Result<u32, Fault> {
    *number = number.checked_add(1).ok_or_else(|| Fault::Damaged("all numbers are used up".to_owned()))?;
    Ok(*number)
}

/// What a command works with.
pub(super) struct Scope<'writer> {
    pub(super) connection: &'writer Connection,
    pub(super) workspaces: &'writer mut Workspaces,
    pub(super) sealer: &'writer mut Sealer,
    pub(super) heads: &'writer mut Heads,
    pub(super) context: &'writer Context,
}

/// What a command did, before it is numbered and recorded.
pub(super) struct Draft {
    /// What its caller gets.
    pub(super) outcome: Outcome,
    /// What it created or changed, by id, for repeats.
    pub(super) target: String,
    /// The hint of the secret that it issued, for repeats.
    pub(super) hint: Option<String>,
    /// What verification engines must know.
    pub(super) changes: Vec<(EntityRef, Effect, Change)>,
    /// What the audit trail must know.
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

impl Writer {
    /// Carries out one command inside a savepoint.
    pub(super) fn carry_out(&mut self, context: &Context, command: Command) -> Result<Committed, Fault> {
        check_permit(context, &command)?;
        if let Some(idempotency) = &context.idempotency {
            check_repeat(&self.connection, idempotency, context)?;
        }
        let mut heads = self.heads.expect("a transaction begins with known heads");
        let mut scope = Scope {
            connection: &self.connection,
            workspaces: &mut self.workspaces,
            sealer: &mut self.sealer,
            heads: &mut heads,
            context,
        };
        let reach = command.reach();
        let mut draft = scope.apply(command)?;
        choices::fill_in(&self.connection, draft.changes.iter_mut().map(|(_, _, change)| change))?;
        let personal =
            if draft.entries.is_empty() { None } else { Some(personal_of(&self.connection, context)?) };
        let personal = personal.as_ref().unwrap_or(&context.personal);
        let restricting = draft.changes.iter().any(|(_, effect, _)| *effect == Effect::Restricting);
        for (entity, effect, change) in draft.changes {
            heads.sequence += 1;
            let restricting = effect == Effect::Restricting;
            insert_change(&self.connection, &ChangeRow { sequence: heads.sequence, restricting, entity })?;
            self.changes.push(NumberedChange { sequence: heads.sequence, restricting, change });
        }
        for (position, entry) in (0..).zip(draft.entries) {
            let at = (context, personal, position);
            keep_entry(&self.connection, &mut self.sealer, &mut heads, at, entry)?;
        }
        if let Some(idempotency) = &context.idempotency {
            keep_repeat(&self.connection, idempotency, context, &draft.target, draft.hint.as_deref())?;
        }
        if let Some((workspace, difference)) = draft.counted {
            self.workspaces.count(workspace, difference);
        }
        if let Some(workspace) = draft.workspace {
            self.workspaces.replace(workspace);
        }
        if let Some(workspace) = draft.purged {
            self.workspaces.remove(workspace);
        }
        self.heads = Some(heads);
        // One node with its store inside: nothing to wait for but the node itself.
        Ok(Committed {
            sequence: heads.sequence,
            restricting,
            wait: reach.wait(draft.wait),
            outcome: draft.outcome,
        })
    }
}

impl Scope<'_> {
    fn apply(&mut self, command: Command) -> Result<Draft, Fault> {
        match command {
            Command::Bootstrap(bootstrap) => self.bootstrap(*bootstrap),
            Command::CreateKey(new) => self.create_key(*new),
            Command::ChangeKey { key, change } => self.change_key(key, change),
            Command::RevokeKeys { filter, reason } => self.revoke_keys(&filter, reason.as_deref()),
            Command::Redigest(items) => self.redigest(&items),
            Command::CreateWorkspace(new) => self.create_workspace(*new),
            Command::PatchWorkspace { workspace, patch } => self.patch_workspace(workspace, patch),
            Command::Workspace(command) => self.workspace_command(&command),
            Command::SettleLease { workspace, version } => self.settle_lease(workspace, version),
            Command::CreateMember { user, workspace, role } => self.create_member(&user, workspace, role),
            Command::PutPlan(plan) => self.put_plan(plan),
            Command::DeletePlan(name) => self.delete_plan(&name),
            Command::PutPermission { name, description } => self.put_permission(name, description),
            Command::CreateOperator(new) => self.create_operator(*new),
            Command::RevokeOperator(id) => self.revoke_operator(id),
            Command::Privacy(command) => self.privacy(&command),
            Command::Identity(command) => self.identity(command),
            Command::Member(command) => self.change_members(command),
            Command::Credit(command) => self.credit(&command),
            Command::Prompt(command) => self.prompt_command(command),
            Command::Account(command) => self.account_command(command),
            Command::Invitation(command) => self.invitation_command(command),
            Command::Credential(command) => self.credential_command(command),
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

/// Refuses a repeat of a call that is remembered.
fn check_repeat(connection: &Connection, asked: &Idempotency, context: &Context) -> Result<(), Fault> {
    let parameters = [&asked.actor, &asked.key];
    let known = first(connection, sql::journal::IDEMPOTENCY, parameters, |row| {
        let hint = optional_text(row, 2)?.map(str::to_owned);
        Ok((bytes::<32>(row, 0)?, text(row, 1)?.to_owned(), hint, time(row, 3)?))
    })?;
    match known {
        Some((.., created_at)) if created_at.plus_seconds(caps::IDEMPOTENCY_SECONDS) <= context.now => Ok(()),
        Some((fingerprint, ..)) if fingerprint != asked.fingerprint => Err(IdempotencyError::Mismatch.into()),
        Some((_, target, hint, _)) => Err(IdempotencyError::AlreadyApplied { target, hint }.into()),
        None => Ok(()),
    }
}

/// Expired records that each new one takes along, so that the table cannot grow for ever.
const PRUNED_PER_RECORD: u32 = 2;

fn keep_repeat(
    connection: &Connection,
    asked: &Idempotency,
    context: &Context,
    target: &str,
    hint: Option<&str>,
) -> Result<(), Fault> {
    let Idempotency { actor, key, fingerprint } = asked;
    connection.prepare_cached(sql::journal::PUT_IDEMPOTENCY)?.execute(params![
        actor,
        key,
        fingerprint,
        target,
        hint,
        context.now.unix_ms()
    ])?;
    let expired = context.now.plus_seconds(-caps::IDEMPOTENCY_SECONDS);
    connection
        .prepare_cached(sql::journal::PRUNE_IDEMPOTENCY)?
        .execute(params![expired.unix_ms(), PRUNED_PER_RECORD])?;
    Ok(())
}

/// What is recorded of where the call came from: nothing when the person who acts opted out.
fn personal_of(connection: &Connection, context: &Context) -> Result<PersonalData, Fault> {
    match KeyOwner::of(context.permit.actor(), context.now) {
        KeyOwner::Person(user) if choices::opted_out_since(connection, user)?.is_some() => {
            Ok(context.personal.without_origin())
        }
        _ => Ok(context.personal.clone()),
    }
}

/// Appends to the audit trail.
fn keep_entry(
    connection: &Connection,
    sealer: &mut Sealer,
    heads: &mut Heads,
    (context, personal, position): (&Context, &PersonalData, u64),
    entry: Entry,
) -> Result<(), Fault> {
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
    let sequence = heads.audit + 1;
    let hash = entry_hash(&heads.audit_hash, sequence, &bytes);
    connection.prepare_cached(sql::journal::INSERT_AUDIT)?.execute(params![
        sequence,
        hash,
        entry.workspace.map(|(_, number)| number.0),
        entry.action,
        body.target.id,
        bytes
    ])?;
    let owner = KeyOwner::of(context.permit.actor(), context.now);
    sealer.keep_personal(connection, sequence, owner, context.now, personal)?;
    heads.audit = sequence;
    heads.audit_hash = hash;
    Ok(())
}

/// The id of a command's entry at `position`: the first has the id given, the others count on from it.
fn derived_id(first: AuditId, position: u64) -> AuditId {
    let id = u128::from_be_bytes(first.to_bytes()).wrapping_add(u128::from(position));
    AuditId::from_bytes(id.to_be_bytes())
}
