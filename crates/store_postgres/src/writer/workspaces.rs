//! Commands about the end of a workspace, and its return.

use keywright_domain::{
    caps,
    change::{Change, EntityRef, MembershipView},
    command::{Outcome, PurgeProgress, WorkspaceCommand},
    ids::WorkspaceId,
    key::{Effect, KeyNumber},
    plan::Plan,
    principal::Membership,
    workspace::{Workspace, WorkspacePolicy, delete_workspace, purge_workspace, restore_workspace},
};

use super::{
    installation::changed_workspace,
    record::{Draft, Entry, Scope},
};
use crate::{
    connect::Param,
    fault::Fault,
    params,
    rows::{each, flag, members as member_rows, number, to_json},
    sql::{installation::MEMBERSHIPS, purge as sql},
};

impl Scope<'_> {
    pub(super) async fn workspace_command(&mut self, command: &WorkspaceCommand) -> Result<Draft, Fault> {
        let now = self.context.now;
        let before = self.group.workspace(command.workspace()).await?.workspace.clone();
        let decided = match *command {
            WorkspaceCommand::Delete { grace_days, .. } => delete_workspace(&before, grace_days, now)?,
            WorkspaceCommand::Restore { .. } => restore_workspace(&before, now)?,
            WorkspaceCommand::Purge { workspace, after } => {
                return self.purge(workspace, &before, after).await;
            }
        };
        self.keep_changes(&before, &decided);
        Ok(changed_workspace(decided))
    }

    /// One step: so many keys at most, and so many rows per kind of thing.
    async fn purge(
        &mut self,
        id: WorkspaceId,
        workspace: &Workspace,
        after: KeyNumber,
    ) -> Result<Draft, Fault> {
        purge_workspace(workspace, self.context.now)?;
        let mut draft = Draft::new(Outcome::Purged(PurgeProgress::More(after)), id.to_string());
        draft.wait = Some(workspace.policy.wait);
        let last = self.heads.last_key();
        let mut budget = caps::PURGE_ROWS_PER_STEP;
        if after.0 < last {
            let until = after.0.saturating_add(caps::PURGE_KEYS_PER_STEP);
            if self.purge_keys(workspace, (after.0, until), &mut budget, &mut draft).await? {
                draft.outcome = Outcome::Purged(PurgeProgress::More(KeyNumber(until.min(last))));
            }
        } else if self.remove(sql::BY_WORKSPACE, || params![workspace.number.0], &mut budget).await? {
            self.finish_purge(workspace, &mut draft).await?;
            draft.outcome = Outcome::Purged(PurgeProgress::Done);
        }
        Ok(draft)
    }

    /// Whether nothing is left of the keys in the range.
    async fn purge_keys(
        &mut self,
        workspace: &Workspace,
        (after, until): (u32, u32),
        budget: &mut u32,
        draft: &mut Draft,
    ) -> Result<bool, Fault> {
        let values = params![after, until, workspace.number.0];
        let found = self.group.transaction.query(sql::KEYS_IN_RANGE, values).await?;
        let found = each(&found, |row| Ok((number::<u32>(row, 0)?, flag(row, 1)?)))?;
        let numbers: Vec<u32> = found.iter().map(|(number, _)| *number).collect();
        if !self.remove(sql::BY_KEY, || params![numbers.clone()], budget).await? {
            return Ok(false);
        }
        if !numbers.is_empty() {
            self.group.transaction.write(sql::EMPTY_KEYS, params![numbers, self.context.now]);
        }
        let left =
            found.into_iter().filter(|(_, was_deleted)| !was_deleted).map(|(number, _)| KeyNumber(number));
        // They were refused before, as keys of a deleted workspace.
        draft.changes.extend(
            left.map(|number| (EntityRef::Key(number), Effect::Loosening, Change::KeyRemoved(number))),
        );
        let fewer = i32::try_from(draft.changes.len()).expect("at most the keys of a step");
        draft.counted = (fewer > 0).then_some((workspace.id, -fewer));
        Ok(true)
    }

    /// Removes rows until the budget is used up; says whether there are no more.
    async fn remove(
        &mut self,
        tables: &[(&str, &'static str)],
        parameters: impl Fn() -> Vec<Param>,
        budget: &mut u32,
    ) -> Result<bool, Fault> {
        for (_, statement) in tables {
            let mut values = parameters();
            values.extend(params![*budget]);
            let removed = self.group.transaction.first(statement, values).await?;
            let removed = removed.map_or(Ok(0), |row| number::<u32>(&row, 0))?;
            *budget = budget.saturating_sub(removed);
            if *budget == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn finish_purge(&mut self, workspace: &Workspace, draft: &mut Draft) -> Result<(), Fault> {
        let (workspace_number, now) = (workspace.number, self.context.now);
        let members = self.group.transaction.query(MEMBERSHIPS, params![workspace.id.to_bytes()]).await?;
        for member in each(&members, member_rows::membership)? {
            let ended = Membership { ended_at: Some(now), ..member };
            let change = Change::Membership(MembershipView::from(&ended));
            draft.changes.push((EntityRef::Membership(ended.number), Effect::Loosening, change));
        }
        let transaction = &mut self.group.transaction;
        transaction.write(sql::END_MEMBERSHIPS, params![workspace_number.0, now]);
        transaction.write(sql::EMPTY_CREDIT_ACCOUNTS, params![workspace.id.to_bytes()]);
        let policy = to_json(&WorkspacePolicy::default());
        transaction.write(sql::EMPTY_WORKSPACE, params![workspace_number.0, Plan::DEFAULT, policy, now]);
        let change = Change::WorkspaceRemoved(workspace_number);
        draft.changes.push((EntityRef::Workspace(workspace_number), Effect::Loosening, change));
        draft.entries.push(Entry {
            action: "workspace.purged",
            kind: "workspace",
            target: workspace.id.to_string(),
            workspace: Some((workspace.id, workspace_number)),
            reason: None,
            fields: Vec::new(),
        });
        draft.purged = Some(workspace.id);
        Ok(())
    }
}
