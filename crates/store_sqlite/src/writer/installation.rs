//! Commands about everything but keys.

use keywright_domain::{
    administration::{self, Decided},
    change::{Change, EntityRef, MembershipView, WorkspaceView},
    command::{Bootstrap, CommandError, NewOperator, NewWorkspace, Outcome},
    ids::{OperatorId, WorkspaceId},
    key::Effect,
    operator::OperatorCredential,
    permission::{PermissionName, Role},
    plan::Plan,
    principal::{Membership, MembershipNumber, User},
    workspace::{Workspace, WorkspaceNumber, WorkspacePatch},
};
use rusqlite::params;

use super::record::{Draft, Entry, Scope};
use crate::{fault::Fault, rows::installation, sql::installation as sql};

impl Scope<'_> {
    pub(super) fn bootstrap(&mut self, bootstrap: Bootstrap) -> Result<Draft, Fault> {
        if installation::is_set_up(self.connection)? {
            return Err(CommandError::AlreadySetUp.into());
        }
        let (operator, first) = self.new_operator(bootstrap.operator)?;
        let mut all = Draft::new(Outcome::Done, operator.id.to_string());
        all.hint = Some(operator.secret.hint.clone());
        all.join(first);
        let mut objects = None;
        if let Some((new, user)) = bootstrap.workspace {
            let (workspace, created) = self.new_workspace(new)?;
            all.join(created);
            let (membership, joined) = self.new_member(&user, &workspace, Role::Owner)?;
            all.join(joined);
            objects = Some(Box::new((workspace, membership)));
        }
        all.outcome = Outcome::Bootstrapped { operator: Box::new(operator), workspace: objects };
        Ok(all)
    }

    pub(super) fn create_workspace(&mut self, new: NewWorkspace) -> Result<Draft, Fault> {
        let (workspace, mut draft) = self.new_workspace(new)?;
        draft.outcome = Outcome::Workspace(Box::new(workspace));
        Ok(draft)
    }

    fn new_workspace(&mut self, new: NewWorkspace) -> Result<(Workspace, Draft), Fault> {
        let plan = installation::plan(self.connection, &new.plan)?;
        let namesake = installation::workspace_by_slug(self.connection, &new.slug)?;
        let namesake = namesake.as_ref().map(|found| &found.workspace);
        let mut decided = administration::create_workspace(new, plan.as_ref(), namesake, self.context.now)?;
        decided.value.number = WorkspaceNumber(self.heads.next_workspace()?);
        installation::insert_workspace(self.connection, &decided.value)?;
        let draft = workspace_draft(&decided);
        Ok((decided.value, draft))
    }

    pub(super) fn patch_workspace(&mut self, id: WorkspaceId, patch: WorkspacePatch) -> Result<Draft, Fault> {
        let plan = match &patch.plan {
            Some(name) => installation::plan(self.connection, name)?,
            None => None,
        };
        let namesake = match &patch.slug {
            Some(slug) => installation::workspace_by_slug(self.connection, slug)?,
            None => None,
        };
        let namesake = namesake.as_ref().map(|found| &found.workspace);
        let before = &self.workspaces.get(self.connection, id)?.workspace;
        let now = self.context.now;
        let decided = administration::patch_workspace(before, patch, plan.as_ref(), namesake, now)?;
        if decided.effect != Effect::None {
            installation::update_workspace(self.connection, before, &decided.value)?;
        }
        Ok(changed_workspace(decided))
    }

    pub(super) fn settle_lease(&mut self, id: WorkspaceId, version: u32) -> Result<Draft, Fault> {
        let before = &self.workspaces.get(self.connection, id)?.workspace;
        let decided = administration::settle_lease(before, version);
        if decided.effect != Effect::None {
            installation::update_workspace(self.connection, before, &decided.value)?;
        }
        Ok(changed_workspace(decided))
    }

    pub(super) fn create_member(&mut self, user: &User, id: WorkspaceId, role: Role) -> Result<Draft, Fault> {
        let workspace = self.workspaces.get(self.connection, id)?.workspace.clone();
        let (membership, mut draft) = self.new_member(user, &workspace, role)?;
        draft.wait = Some(workspace.policy.wait);
        draft.outcome = Outcome::Membership(Box::new(membership));
        Ok(draft)
    }

    fn new_member(
        &mut self,
        user: &User,
        workspace: &Workspace,
        role: Role,
    ) -> Result<(Membership, Draft), Fault> {
        self.new_user(user)?;
        self.add_member(user, workspace, role)
    }

    /// Makes a user who exists a member.
    pub(super) fn add_member(
        &mut self,
        user: &User,
        workspace: &Workspace,
        role: Role,
    ) -> Result<(Membership, Draft), Fault> {
        let mut decided = administration::create_membership(user, workspace, role, self.context.now);
        decided.value.number = MembershipNumber(self.heads.next_membership()?);
        installation::insert_membership(self.connection, &decided.value, workspace.number)?;
        let mut draft = Draft::new(Outcome::Done, user.id.to_string());
        let change = Change::Membership(MembershipView::from(&decided.value));
        draft.record(
            "member",
            Some((workspace.id, workspace.number)),
            &decided,
            EntityRef::Membership(decided.value.number),
            change,
        );
        Ok((decided.value, draft))
    }

    pub(super) fn put_plan(&mut self, plan: Plan) -> Result<Draft, Fault> {
        let before = installation::plan(self.connection, &plan.name)?;
        let count = installation::count(self.connection, sql::COUNT_PLANS, [])?;
        let count = usize::try_from(count).expect("plans are few");
        let decided = administration::put_plan(plan, before.as_ref(), count)?;
        let name = decided.value.name.clone();
        let mut draft = Draft::new(Outcome::Plan(decided.value.clone()), name.clone());
        if decided.effect != Effect::None {
            installation::put_plan(self.connection, sql::PUT_PLAN, &decided.value)?;
            draft.record("plan", None, &decided, EntityRef::Plan(name), Change::Plan(decided.value.clone()));
        }
        Ok(draft)
    }

    pub(super) fn delete_plan(&mut self, name: &str) -> Result<Draft, Fault> {
        let found = installation::plan(self.connection, name)?;
        let workspaces = installation::count(self.connection, sql::COUNT_ON_PLAN, [name])?;
        let decided = administration::delete_plan(name, found, workspaces)?;
        self.connection.prepare_cached(sql::DELETE_PLAN)?.execute([name])?;
        let mut draft = Draft::new(Outcome::Done, name.to_owned());
        let entity = EntityRef::Plan(name.to_owned());
        draft.record("plan", None, &decided, entity, Change::PlanRemoved(name.to_owned()));
        Ok(draft)
    }

    pub(super) fn put_permission(
        &mut self,
        name: PermissionName,
        description: String,
    ) -> Result<Draft, Fault> {
        let mut catalogue = installation::catalogue(self.connection)?;
        let decided = administration::put_permission(name, description, &catalogue)
            .ok_or(CommandError::CatalogueFull)?;
        let name = decided.value.name.as_str().to_owned();
        let mut draft = Draft::new(Outcome::Permission(decided.value.clone()), name);
        if decided.effect != Effect::None {
            installation::put_permission(self.connection, sql::PUT_PERMISSION, &decided.value)?;
            catalogue.insert(decided.value.clone());
            let change = Change::Catalogue(catalogue.entries().cloned().collect());
            draft.record("permission", None, &decided, EntityRef::Catalogue, change);
        }
        Ok(draft)
    }

    pub(super) fn create_operator(&mut self, new: NewOperator) -> Result<Draft, Fault> {
        let (operator, mut draft) = self.new_operator(new)?;
        draft.hint = Some(operator.secret.hint.clone());
        draft.outcome = Outcome::Operator(Box::new(operator));
        Ok(draft)
    }

    fn new_operator(&self, new: NewOperator) -> Result<(OperatorCredential, Draft), Fault> {
        let decided = administration::create_operator(new, self.context.now)?;
        installation::insert_operator(self.connection, &decided.value)?;
        let draft = self.operator_draft(&decided)?;
        Ok((decided.value, draft))
    }

    pub(super) fn revoke_operator(&mut self, id: OperatorId) -> Result<Draft, Fault> {
        let found = installation::operator(self.connection, id)?;
        let active = installation::count(self.connection, sql::COUNT_ACTIVE_OPERATORS, [])?;
        let decided = administration::revoke_operator(found, active, self.context.now)?;
        if decided.effect != Effect::None {
            let at = decided.value.revoked_at.map(keywright_domain::time::Timestamp::unix_ms);
            self.connection.prepare_cached(sql::REVOKE_OPERATOR)?.execute(params![id.to_bytes(), at])?;
        }
        let mut draft = self.operator_draft(&decided)?;
        draft.outcome = Outcome::Operator(Box::new(decided.value));
        Ok(draft)
    }

    fn operator_draft(&self, decided: &Decided<OperatorCredential>) -> Result<Draft, Fault> {
        let mut draft = Draft::new(Outcome::Done, decided.value.id.to_string());
        if decided.effect != Effect::None {
            let mut operators = installation::operators(self.connection)?;
            operators.retain(|operator| operator.revoked_at.is_none());
            draft.record("operator", None, decided, EntityRef::Operators, Change::Operators(operators));
        }
        Ok(draft)
    }
}

/// What a change of a workspace means for the logs, and for its caller.
pub(super) fn changed_workspace(decided: Decided<Workspace>) -> Draft {
    let mut draft = workspace_draft(&decided);
    draft.wait = Some(decided.value.policy.wait);
    draft.workspace = Some(decided.value.clone());
    draft.outcome = Outcome::Workspace(Box::new(decided.value));
    draft
}

fn workspace_draft(decided: &Decided<Workspace>) -> Draft {
    let workspace = &decided.value;
    let mut draft = Draft::new(Outcome::Done, workspace.id.to_string());
    if decided.effect != Effect::None {
        draft.record(
            "workspace",
            Some((workspace.id, workspace.number)),
            decided,
            EntityRef::Workspace(workspace.number),
            Change::Workspace(WorkspaceView::from(workspace)),
        );
    }
    draft
}

impl Draft {
    /// Records a decision on the draft's target in both logs.
    pub(super) fn record<T>(
        &mut self,
        kind: &'static str,
        workspace: Option<(WorkspaceId, WorkspaceNumber)>,
        decided: &Decided<T>,
        entity: EntityRef,
        change: Change,
    ) {
        self.changes.push((entity, decided.effect, change));
        self.entries.push(Entry {
            action: decided.action,
            kind,
            target: self.target.clone(),
            workspace,
            reason: None,
            fields: decided.fields.clone(),
        });
    }

    /// Takes over what another draft has for the logs.
    fn join(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.entries.extend(other.entries);
    }
}
