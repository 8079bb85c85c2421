//! Commands about keys.

use keywright_domain::{
    caps,
    change::{Change, EntityRef, KeyView},
    command::{ChangedKey, CommandError, Outcome, Redigest},
    ids::{KeyId, WorkspaceId},
    key::{self, ApiKey, Effect, Incident, KeyChange, KeyError, KeyNumber, NewKey, Transition},
    query::KeyFilter,
    workspace::Workspace,
};

use super::record::{Draft, Entry, Scope};
use crate::{
    fault::Fault,
    read,
    rows::{installation::all, keys},
    sql,
};

impl Scope<'_> {
    /// The workspace that the permit is for.
    pub(super) fn permitted_workspace(&self) -> WorkspaceId {
        self.context.permit.workspace().expect("the permit was checked to have a workspace")
    }

    pub(super) fn create_key(&mut self, new: NewKey) -> Result<Draft, Fault> {
        let id = self.permitted_workspace();
        let found = self.workspaces.get(self.connection, id)?;
        let wait = found.workspace.policy.wait;
        let (permit, now) = (&self.context.permit, self.context.now);
        let mut created = key::create(new, &found.workspace, found.key_count, permit, now)?;
        created.key.number = KeyNumber(self.heads.next_key()?);
        keys::insert(self.connection, &created.key)?;
        let hint = created.key.secrets.last().map(|secret| secret.hint.clone());
        let (mut draft, key, _) = draft(created);
        draft.outcome = Outcome::Key(Box::new(key));
        draft.hint = hint;
        draft.wait = Some(wait);
        draft.counted = Some((id, 1));
        Ok(draft)
    }

    pub(super) fn change_key(&mut self, id: KeyId, mut change: KeyChange) -> Result<Draft, Fault> {
        let workspace_id = self.permitted_workspace();
        let workspace = self.workspaces.get(self.connection, workspace_id)?.workspace.clone();
        let before = keys::by_id(self.connection, id, workspace_id)?
            .filter(|key| key.workspace_number == workspace.number)
            .ok_or(KeyError::NotFound)?;
        let last_uses = all(self.connection, sql::keys::LAST_USED, [before.number.0], keys::last_used)?;
        if let KeyChange::DisableIdle { last_used, .. } = &mut change {
            *last_used = last_uses.iter().map(|used| used.at).max();
        }
        let hint = issued_hint(&change);
        let wait = workspace.policy.wait;
        let was_deleted = before.deleted_at.is_some();
        let done =
            key::transition(before.clone(), change, &workspace, &self.context.permit, self.context.now)?;
        self.keep(&before, &done)?;
        let is_deleted = done.key.deleted_at.is_some();
        let (mut draft, key, incident) = draft(done);
        draft.outcome = Outcome::ChangedKey(Box::new(ChangedKey { key, incident, workspace, last_uses }));
        draft.wait = Some(wait);
        draft.hint = hint;
        if is_deleted && !was_deleted {
            draft.counted = Some((workspace_id, -1));
        }
        Ok(draft)
    }

    pub(super) fn revoke_keys(&mut self, filter: &KeyFilter, reason: Option<&str>) -> Result<Draft, Fault> {
        let id = self.permitted_workspace();
        let workspace = self.workspaces.get(self.connection, id)?.workspace.clone();
        let matches = read::keys::not_revoked(self.connection, &workspace, filter, self.context.now, LIMIT)?;
        if matches.len() > caps::BULK_REVOKE_MAX {
            return Err(CommandError::TooManyMatches.into());
        }
        let mut all = Draft::new(Outcome::Done, id.to_string());
        all.wait = Some(workspace.policy.wait);
        let mut revoked = 0;
        for key in matches {
            let done = self.revoke(&key, &workspace, reason)?;
            revoked += u64::from(done.effect != Effect::None);
            let (one, ..) = draft(done);
            all.changes.extend(one.changes);
            all.entries.extend(one.entries);
        }
        all.outcome = Outcome::Revoked(revoked);
        Ok(all)
    }

    fn revoke(
        &self,
        before: &ApiKey,
        workspace: &Workspace,
        reason: Option<&str>,
    ) -> Result<Transition, Fault> {
        let change = KeyChange::Revoke { reason: reason.map(str::to_owned) };
        let (permit, now) = (&self.context.permit, self.context.now);
        let done = key::transition(before.clone(), change, workspace, permit, now)?;
        self.keep(before, &done)?;
        Ok(done)
    }

    pub(super) fn redigest(&self, items: &[Redigest]) -> Result<Draft, Fault> {
        let mut all = Draft::new(Outcome::Done, String::new());
        let mut replaced = 0;
        for item in items {
            // The workspace's id is not part of what verification sees of a key.
            let found = keys::by_id(self.connection, item.key, WorkspaceId::from_bytes([0; 16]))?;
            let Some(mut key) = found.filter(|key| key.deleted_at.is_none()) else { continue };
            let number = key.number;
            let is_current =
                |secret: &&mut key::KeySecret| secret.ordinal == item.ordinal && secret.digest == item.old;
            let Some(secret) = key.secrets.iter_mut().find(is_current) else { continue };
            secret.digest = item.new;
            keys::update_secret(self.connection, number, secret)?;
            replaced += 1;
            let change = Change::Key(Box::new(KeyView::from(&key)));
            all.changes.push((EntityRef::Key(number), Effect::Loosening, change));
        }
        all.outcome = Outcome::Redigested(replaced);
        Ok(all)
    }

    fn keep(&self, before: &ApiKey, done: &Transition) -> Result<(), Fault> {
        if done.effect == Effect::None {
            return Ok(());
        }
        keys::update(self.connection, before, &done.key)?;
        if let Some(incident) = &done.incident {
            keys::insert_incident(self.connection, incident, done.key.workspace_number)?;
        }
        Ok(())
    }
}

/// One more than a bulk revocation may take, so that too many are noticed.
const LIMIT: u32 = 10_001;
const _: () = assert!(LIMIT as usize == caps::BULK_REVOKE_MAX + 1, "one more than the cap");

fn issued_hint(change: &KeyChange) -> Option<String> {
    match change {
        KeyChange::Rotate { secret, .. } | KeyChange::Compromise { replacement: Some(secret), .. } => {
            Some(secret.hint.clone())
        }
        _ => None,
    }
}

/// What a transition means for the logs; and the key, and the incident.
fn draft(done: Transition) -> (Draft, ApiKey, Option<Incident>) {
    let Transition { key, effect, action, reason, fields, incident } = done;
    let target = key.id.to_string();
    let workspace = Some((key.workspace, key.workspace_number));
    let change = if key.deleted_at.is_some() {
        Change::KeyRemoved(key.number)
    } else {
        Change::Key(Box::new(KeyView::from(&key)))
    };
    let number = key.number;
    let mut draft = Draft::new(Outcome::Done, target.clone());
    if effect != Effect::None {
        draft.changes.push((EntityRef::Key(number), effect, change));
        draft.entries.push(Entry { action, kind: "key", target, workspace, reason, fields });
    }
    (draft, key, incident)
}
