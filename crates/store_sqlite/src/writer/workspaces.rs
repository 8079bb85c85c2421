//! Commands about the end of a workspace, and its return.

use keywright_domain::{
    caps,
    change::{Change, EntityRef, MembershipView},
    command::{Outcome, PurgeProgress, WorkspaceCommand},
    ids::WorkspaceId,
    key::{Effect, KeyNumber},
    plan::Plan,
    principal::Membership,
    workspace::{
        Workspace, WorkspaceError, WorkspacePolicy, delete_workspace, purge_workspace, restore_workspace,
    },
};
use rusqlite::{ToSql, params};

use super::{
    installation::changed_workspace,
    record::{Draft, Entry, Scope},
};
use crate::{
    fault::Fault,
    rows::{
        installation::{all, update_workspace},
        members, to_json,
    },
    sql::{installation::MEMBERSHIPS, keys::LAST_NUMBER, purge as sql},
};

impl Scope<'_> {
    pub(super) fn workspace_command(&mut self, command: &WorkspaceCommand) -> Result<Draft, Fault> {
        let now = self.context.now;
        match *command {
            WorkspaceCommand::Delete { workspace, grace_days } => {
                self.end_or_return(workspace, |before| delete_workspace(before, grace_days, now))
            }
            WorkspaceCommand::Restore { workspace } => {
                self.end_or_return(workspace, |before| restore_workspace(before, now))
            }
            WorkspaceCommand::Purge { workspace, after } => self.purge(workspace, after),
        }
    }

    fn end_or_return(
        &mut self,
        id: WorkspaceId,
        decide: impl FnOnce(
            &Workspace,
        )
            -> Result<keywright_domain::administration::Decided<Workspace>, WorkspaceError>,
    ) -> Result<Draft, Fault> {
        let before = &self.workspaces.get(self.connection, id)?.workspace;
        let decided = decide(before)?;
        if decided.effect != Effect::None {
            update_workspace(self.connection, before, &decided.value)?;
        }
        Ok(changed_workspace(decided))
    }

    /// One step: so many keys at most, and so many rows per kind of thing.
    fn purge(&mut self, id: WorkspaceId, after: KeyNumber) -> Result<Draft, Fault> {
        let workspace = self.workspaces.get(self.connection, id)?.workspace.clone();
        purge_workspace(&workspace, self.context.now)?;
        let mut draft = Draft::new(Outcome::Purged(PurgeProgress::More(after)), id.to_string());
        draft.wait = Some(workspace.policy.wait);
        let last: Option<u32> =
            self.connection.prepare_cached(LAST_NUMBER)?.query_row([], |row| row.get(0))?;
        let last = last.unwrap_or(0);
        let mut budget = caps::PURGE_ROWS_PER_STEP;
        if after.0 < last {
            let until = after.0.saturating_add(caps::PURGE_KEYS_PER_STEP);
            if self.purge_keys(&workspace, (after.0, until), &mut budget, &mut draft)? {
                draft.outcome = Outcome::Purged(PurgeProgress::More(KeyNumber(until.min(last))));
            }
        } else if self.remove(sql::BY_WORKSPACE, &[&workspace.number.0], &mut budget)? {
            self.finish_purge(&workspace, &mut draft)?;
            draft.outcome = Outcome::Purged(PurgeProgress::Done);
        }
        Ok(draft)
    }

    /// Whether nothing is left of the keys in the range.
    fn purge_keys(
        &self,
        workspace: &Workspace,
        (after, until): (u32, u32),
        budget: &mut u32,
        draft: &mut Draft,
    ) -> Result<bool, Fault> {
        let range: [&dyn ToSql; 3] = [&after, &until, &workspace.number.0];
        if !self.remove(sql::BY_KEY, &range, budget)? {
            return Ok(false);
        }
        let left = all(self.connection, sql::KEYS_LEFT, &range[..], |row| Ok(row.get::<_, u32>(0)?))?;
        let parameters = params![after, until, workspace.number.0, self.context.now.unix_ms()];
        self.connection.prepare_cached(sql::EMPTY_KEYS)?.execute(parameters)?;
        let fewer = i32::try_from(left.len()).expect("at most the keys of a step");
        draft.counted = (fewer > 0).then_some((workspace.id, -fewer));
        // They were refused before, as keys of a deleted workspace.
        draft.changes.extend(
            left.into_iter()
                .map(KeyNumber)
                .map(|number| (EntityRef::Key(number), Effect::Loosening, Change::KeyRemoved(number))),
        );
        Ok(true)
    }

    /// Removes rows until the budget is used up; says whether there are no more.
    fn remove(
        &self,
        tables: &[(&str, &str)],
        parameters: &[&dyn ToSql],
        budget: &mut u32,
    ) -> Result<bool, Fault> {
        for (_, statement) in tables {
            let limit = *budget;
            let with_limit = [parameters, &[&limit as &dyn ToSql]].concat();
            let removed = self.connection.prepare_cached(statement)?.execute(with_limit.as_slice())?;
            *budget = budget.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
            if *budget == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn finish_purge(&self, workspace: &Workspace, draft: &mut Draft) -> Result<(), Fault> {
        let number = workspace.number;
        let now = self.context.now.unix_ms();
        let id = [workspace.id.to_bytes()];
        for member in all(self.connection, MEMBERSHIPS, id, members::membership)? {
            let ended = Membership { ended_at: Some(self.context.now), ..member };
            let change = Change::Membership(MembershipView::from(&ended));
            draft.changes.push((EntityRef::Membership(ended.number), Effect::Loosening, change));
        }
        self.connection.prepare_cached(sql::END_MEMBERSHIPS)?.execute(params![number.0, now])?;
        self.connection.prepare_cached(sql::EMPTY_CREDIT_ACCOUNTS)?.execute([workspace.id.to_bytes()])?;
        let policy = to_json(&WorkspacePolicy::default());
        let parameters = params![number.0, Plan::DEFAULT, policy, now];
        self.connection.prepare_cached(sql::EMPTY_WORKSPACE)?.execute(parameters)?;
        let change = Change::WorkspaceRemoved(number);
        draft.changes.push((EntityRef::Workspace(number), Effect::Loosening, change));
        draft.entries.push(Entry {
            action: "workspace.purged",
            kind: "workspace",
            target: workspace.id.to_string(),
            workspace: Some((workspace.id, number)),
            reason: None,
            fields: Vec::new(),
        });
        draft.purged = Some(workspace.id);
        Ok(())
    }
}
