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
use tokio::task::yield_now;

use super::record::{Draft, Entry, Scope};
use crate::{fault::Fault, params, read, rows::keys, sql::keys as sql};

impl Scope<'_> {
    /// The workspace that the permit is for.
    pub(super) fn permitted_workspace(&self) -> WorkspaceId {
        self.context.permit.workspace().expect("the permit was checked to have a workspace")
    }

    pub(super) async fn create_key(&mut self, new: NewKey) -> Result<Draft, Fault> {
        let id = self.permitted_workspace();
        let (permit, now) = (&self.context.permit, self.context.now);
        let found = self.group.workspace(id).await?;
        let wait = found.workspace.policy.wait;
        let mut created = key::create(new, &found.workspace, found.key_count, permit, now)?;
        created.key.number = KeyNumber(self.heads.next_key()?);
        let key = &created.key;
        self.group.transaction.write(sql::INSERT, keys::insert_params(key));
        for secret in &key.secrets {
            self.group.transaction.write(sql::INSERT_SECRET, keys::insert_secret_params(key.number, secret));
        }
        self.group.keep_key(key);
        let hint = key.secrets.last().map(|secret| secret.hint.clone());
        let (mut draft, key, _) = draft(None, created);
        draft.outcome = Outcome::Key(Box::new(key));
        draft.hint = hint;
        draft.wait = Some(wait);
        draft.counted = Some((id, 1));
        Ok(draft)
    }

    pub(super) async fn change_key(&mut self, id: KeyId, mut change: KeyChange) -> Result<Draft, Fault> {
        let workspace_id = self.permitted_workspace();
        let workspace = self.group.workspace(workspace_id).await?.workspace.clone();
        let before = self.group.key(id).await?;
        let before =
            before.filter(|key| key.workspace_number == workspace.number).ok_or(KeyError::NotFound)?;
        let last_uses = self.group.last_uses(before.number);
        if let KeyChange::DisableIdle { last_used, .. } = &mut change {
            *last_used = last_uses.iter().map(|used| used.at).max();
        }
        let hint = issued_hint(&change);
        let was_deleted = before.deleted_at.is_some();
        let done =
            key::transition(before.clone(), change, &workspace, &self.context.permit, self.context.now)?;
        self.keep(&before, &done);
        let is_deleted = done.key.deleted_at.is_some();
        let (mut draft, key, incident) = draft(Some(&before), done);
        draft.wait = Some(workspace.policy.wait);
        draft.outcome = Outcome::ChangedKey(Box::new(ChangedKey { key, incident, workspace, last_uses }));
        draft.hint = hint;
        if is_deleted && !was_deleted {
            draft.counted = Some((workspace_id, -1));
        }
        Ok(draft)
    }

    pub(super) async fn revoke_keys(
        &mut self,
        filter: &KeyFilter,
        reason: Option<&str>,
    ) -> Result<Draft, Fault> {
        let id = self.permitted_workspace();
        let workspace = self.group.workspace(id).await?.workspace.clone();
        let mut all = Draft::new(Outcome::Done, id.to_string());
        all.wait = Some(workspace.policy.wait);
        let matches = match read::keys::not_revoked(&workspace, filter, self.context.now, LIMIT) {
            Some((statement, values)) => {
                keys::with_secrets(&self.group.transaction.query(statement, values).await?)?
            }
            None => Vec::new(),
        };
        if matches.len() > caps::BULK_REVOKE_MAX {
            return Err(CommandError::TooManyMatches.into());
        }
        let mut revoked = 0;
        for (position, key) in matches.into_iter().enumerate() {
            pause(position).await;
            let done = self.revoke(&key, &workspace, reason)?;
            revoked += u64::from(done.effect != Effect::None);
            let (one, ..) = draft(Some(&key), done);
            all.changes.extend(one.changes);
            all.revoked.extend(one.revoked);
            all.entries.extend(one.entries);
        }
        all.outcome = Outcome::Revoked(revoked);
        Ok(all)
    }

    fn revoke(
        &mut self,
        before: &ApiKey,
        workspace: &Workspace,
        reason: Option<&str>,
    ) -> Result<Transition, Fault> {
        let change = KeyChange::Revoke { reason: reason.map(str::to_owned) };
        let (permit, now) = (&self.context.permit, self.context.now);
        let done = key::transition(before.clone(), change, workspace, permit, now)?;
        self.keep(before, &done);
        Ok(done)
    }

    pub(super) async fn redigest(&mut self, items: &[Redigest]) -> Result<Draft, Fault> {
        let mut all = Draft::new(Outcome::Done, String::new());
        let mut replaced = 0;
        for (position, item) in items.iter().enumerate() {
            pause(position).await;
            let found = self.group.key(item.key).await?;
            let Some(mut key) = found.filter(|key| key.deleted_at.is_none()) else { continue };
            let number = key.number;
            let is_current =
                |secret: &&mut key::KeySecret| secret.ordinal == item.ordinal && secret.digest == item.old;
            let Some(secret) = key.secrets.iter_mut().find(is_current) else { continue };
            secret.digest = item.new;
            self.group.transaction.write(sql::UPDATE_SECRET, keys::update_secret_params(number, secret));
            self.group.keep_key(&key);
            replaced += 1;
            let change = Change::Key(Box::new(KeyView::from(&key)));
            all.changes.push((EntityRef::Key(number), Effect::Loosening, change));
        }
        all.outcome = Outcome::Redigested(replaced);
        Ok(all)
    }

    /// Writes what changed from `before` to what was done.
    fn keep(&mut self, before: &ApiKey, done: &Transition) {
        if done.effect == Effect::None {
            return;
        }
        let (after, transaction) = (&done.key, &mut self.group.transaction);
        transaction.write(sql::UPDATE, keys::update_params(after));
        let find = |key: &ApiKey, ordinal| key.secrets.iter().position(|secret| secret.ordinal == ordinal);
        for old in &before.secrets {
            match find(after, old.ordinal).map(|place| &after.secrets[place]) {
                None => transaction.write(sql::DELETE_SECRET, params![after.number.0, old.ordinal]),
                Some(new) if new != old => {
                    transaction.write(sql::UPDATE_SECRET, keys::update_secret_params(after.number, new));
                }
                Some(_) => {}
            }
        }
        for new in after.secrets.iter().filter(|secret| find(before, secret.ordinal).is_none()) {
            transaction.write(sql::INSERT_SECRET, keys::insert_secret_params(after.number, new));
        }
        if let Some(incident) = &done.incident {
            transaction.write(sql::INSERT_INCIDENT, keys::incident_params(incident, after.workspace_number));
        }
        self.group.keep_key(after);
    }
}

/// Lets the connection send what was written so far: else the server sees a transaction in which nothing is said.
async fn pause(position: usize) {
    if position.is_multiple_of(256) {
        yield_now().await;
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

/// What a transition from `before` means for the logs; and the key, and the incident.
fn draft(before: Option<&ApiKey>, done: Transition) -> (Draft, ApiKey, Option<Incident>) {
    let Transition { key, effect, action, reason, fields, incident } = done;
    let target = key.id.to_string();
    let workspace = Some((key.workspace, key.workspace_number));
    let number = key.number;
    let mut only_revoked = false;
    let change = if key.deleted_at.is_some() {
        Change::KeyRemoved(number)
    } else {
        let view = KeyView::from(&key);
        only_revoked = before.is_some_and(|before| view.is_revocation_of(&KeyView::from(before)));
        Change::Key(Box::new(view))
    };
    let mut draft = Draft::new(Outcome::Done, target.clone());
    if effect != Effect::None {
        draft.changes.push((EntityRef::Key(number), effect, change));
        draft.revoked.extend(only_revoked.then_some(number));
        draft.entries.push(Entry { action, kind: "key", target, workspace, reason, fields });
    }
    (draft, key, incident)
}
