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
    workspace::{Slug, Workspace, WorkspaceNumber, WorkspacePatch},
};

use super::record::{Draft, Entry, Scope};
use crate::{
    connect::Param,
    fault::Fault,
    params,
    rows::{each, installation, number},
    sql::installation as sql,
};

impl Scope<'_> {
    pub(super) async fn bootstrap(&mut self, bootstrap: Bootstrap) -> Result<Draft, Fault> {
        if self.group.transaction.first(sql::ANY_OPERATOR, params![]).await?.is_some() {
            return Err(CommandError::AlreadySetUp.into());
        }
        let (operator, first) = self.new_operator(bootstrap.operator).await?;
        let mut all = Draft::new(Outcome::Done, operator.id.to_string());
        all.hint = Some(operator.secret.hint.clone());
        all.join(first);
        let mut objects = None;
        if let Some((new, user)) = bootstrap.workspace {
            let (workspace, created) = self.new_workspace(new).await?;
            all.join(created);
            let (membership, joined) = self.new_member(&user, &workspace, Role::Owner).await?;
            all.join(joined);
            objects = Some(Box::new((workspace, membership)));
        }
        all.outcome = Outcome::Bootstrapped { operator: Box::new(operator), workspace: objects };
        Ok(all)
    }

    pub(super) async fn create_workspace(&mut self, new: NewWorkspace) -> Result<Draft, Fault> {
        let (workspace, mut draft) = self.new_workspace(new).await?;
        draft.outcome = Outcome::Workspace(Box::new(workspace));
        Ok(draft)
    }

    async fn new_workspace(&mut self, new: NewWorkspace) -> Result<(Workspace, Draft), Fault> {
        let plan = self.plan(&new.plan).await?;
        let namesake =
            self.group.transaction.first(sql::WORKSPACE_BY_SLUG, params![new.slug.as_str()]).await?;
        let namesake = namesake.as_ref().map(installation::workspace).transpose()?;
        let mut decided =
            administration::create_workspace(new, plan.as_ref(), namesake.as_ref(), self.context.now)?;
        decided.value.number = WorkspaceNumber(self.heads.next_workspace()?);
        let values = installation::workspace_params(&decided.value);
        self.group.transaction.write(sql::INSERT_WORKSPACE, values);
        self.group.keep_workspace(&decided.value);
        let draft = workspace_draft(&decided);
        Ok((decided.value, draft))
    }

    async fn plan(&mut self, name: &str) -> Result<Option<Plan>, Fault> {
        let row = self.group.transaction.first(sql::PLAN, params![name]).await?;
        row.as_ref().map(installation::plan).transpose()
    }

    async fn count(&mut self, statement: &'static str, params: Vec<Param>) -> Result<u64, Fault> {
        let row = self.group.transaction.first(statement, params).await?;
        row.as_ref().map_or(Ok(0), |row| number(row, 0))
    }

    pub(super) async fn patch_workspace(
        &mut self,
        id: WorkspaceId,
        patch: WorkspacePatch,
    ) -> Result<Draft, Fault> {
        let plan = match &patch.plan {
            Some(name) => self.plan(name).await?,
            None => None,
        };
        let namesake = match &patch.slug {
            Some(slug) => {
                let row =
                    self.group.transaction.first(sql::WORKSPACE_BY_SLUG, params![slug.as_str()]).await?;
                row.as_ref().map(installation::workspace).transpose()?
            }
            None => None,
        };
        let now = self.context.now;
        let before = self.group.workspace(id).await?.workspace.clone();
        let decided = administration::patch_workspace(&before, patch, plan.as_ref(), namesake.as_ref(), now)?;
        self.keep_changes(&before, &decided);
        Ok(changed_workspace(decided))
    }

    pub(super) async fn settle_lease(&mut self, id: WorkspaceId, version: u32) -> Result<Draft, Fault> {
        let before = self.group.workspace(id).await?.workspace.clone();
        let decided = administration::settle_lease(&before, version);
        self.keep_changes(&before, &decided);
        Ok(changed_workspace(decided))
    }

    /// Writes what a decision changed of a workspace.
    pub(super) fn keep_changes(&mut self, before: &Workspace, decided: &Decided<Workspace>) {
        if decided.effect == Effect::None {
            return;
        }
        let after = &decided.value;
        let transaction = &mut self.group.transaction;
        transaction.write(sql::UPDATE_WORKSPACE, installation::workspace_update_params(after));
        if before.former_slugs != after.former_slugs {
            let slugs: Vec<_> = after.former_slugs.iter().map(Slug::as_str).collect();
            transaction.write(sql::DELETE_FORMER_SLUGS, params![after.number.0]);
            transaction.write(sql::INSERT_FORMER_SLUGS, params![slugs, after.number.0]);
        }
    }

    pub(super) async fn create_member(
        &mut self,
        user: &User,
        id: WorkspaceId,
        role: Role,
    ) -> Result<Draft, Fault> {
        let workspace = self.group.workspace(id).await?.workspace.clone();
        let (membership, mut draft) = self.new_member(user, &workspace, role).await?;
        draft.wait = Some(workspace.policy.wait);
        draft.outcome = Outcome::Membership(Box::new(membership));
        Ok(draft)
    }

    async fn new_member(
        &mut self,
        user: &User,
        workspace: &Workspace,
        role: Role,
    ) -> Result<(Membership, Draft), Fault> {
        self.new_user(user).await?;
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
        let values = installation::membership_params(&decided.value, workspace.number);
        self.group.transaction.write(sql::INSERT_MEMBERSHIP, values);
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

    pub(super) async fn put_plan(&mut self, plan: Plan) -> Result<Draft, Fault> {
        let before = self.plan(&plan.name).await?;
        let count = self.count(sql::COUNT_PLANS, params![]).await?;
        let count = usize::try_from(count).expect("plans are few");
        let decided = administration::put_plan(plan, before.as_ref(), count)?;
        let name = decided.value.name.clone();
        let mut draft = Draft::new(Outcome::Plan(decided.value.clone()), name.clone());
        if decided.effect != Effect::None {
            self.group.transaction.write(sql::PUT_PLAN, installation::plan_params(&decided.value));
            draft.record("plan", None, &decided, EntityRef::Plan(name), Change::Plan(decided.value.clone()));
        }
        Ok(draft)
    }

    pub(super) async fn delete_plan(&mut self, name: &str) -> Result<Draft, Fault> {
        let found = self.plan(name).await?;
        let workspaces = self.count(sql::COUNT_ON_PLAN, params![name]).await?;
        let decided = administration::delete_plan(name, found, workspaces)?;
        self.group.transaction.write(sql::DELETE_PLAN, params![name]);
        let mut draft = Draft::new(Outcome::Done, name.to_owned());
        let entity = EntityRef::Plan(name.to_owned());
        draft.record("plan", None, &decided, entity, Change::PlanRemoved(name.to_owned()));
        Ok(draft)
    }

    pub(super) async fn put_permission(
        &mut self,
        name: PermissionName,
        description: String,
    ) -> Result<Draft, Fault> {
        let rows = self.group.transaction.query(sql::PERMISSIONS, params![]).await?;
        let mut catalogue = installation::catalogue(&rows)?;
        let decided = administration::put_permission(name, description, &catalogue)
            .ok_or(CommandError::CatalogueFull)?;
        let name = decided.value.name.as_str().to_owned();
        let mut draft = Draft::new(Outcome::Permission(decided.value.clone()), name);
        if decided.effect != Effect::None {
            let values = installation::permission_params(&decided.value);
            self.group.transaction.write(sql::PUT_PERMISSION, values);
            catalogue.insert(decided.value.clone());
            let change = Change::Catalogue(catalogue.entries().cloned().collect());
            draft.record("permission", None, &decided, EntityRef::Catalogue, change);
        }
        Ok(draft)
    }

    pub(super) async fn create_operator(&mut self, new: NewOperator) -> Result<Draft, Fault> {
        let (operator, mut draft) = self.new_operator(new).await?;
        draft.hint = Some(operator.secret.hint.clone());
        draft.outcome = Outcome::Operator(Box::new(operator));
        Ok(draft)
    }

    async fn new_operator(&mut self, new: NewOperator) -> Result<(OperatorCredential, Draft), Fault> {
        let decided = administration::create_operator(new, self.context.now)?;
        self.group.transaction.write(sql::INSERT_OPERATOR, installation::operator_params(&decided.value));
        let draft = self.operator_draft(&decided).await?;
        Ok((decided.value, draft))
    }

    pub(super) async fn revoke_operator(&mut self, id: OperatorId) -> Result<Draft, Fault> {
        let found = self.group.transaction.first(sql::OPERATOR, params![id.to_bytes()]).await?;
        let found = found.as_ref().map(installation::operator).transpose()?;
        let active = self.count(sql::COUNT_ACTIVE_OPERATORS, params![]).await?;
        let decided = administration::revoke_operator(found, active, self.context.now)?;
        if decided.effect != Effect::None {
            let values = params![id.to_bytes(), decided.value.revoked_at];
            self.group.transaction.write(sql::REVOKE_OPERATOR, values);
        }
        let mut draft = self.operator_draft(&decided).await?;
        draft.outcome = Outcome::Operator(Box::new(decided.value));
        Ok(draft)
    }

    async fn operator_draft(&mut self, decided: &Decided<OperatorCredential>) -> Result<Draft, Fault> {
        let mut draft = Draft::new(Outcome::Done, decided.value.id.to_string());
        if decided.effect != Effect::None {
            let rows = self.group.transaction.query(sql::OPERATORS, params![]).await?;
            let mut operators = each(&rows, installation::operator)?;
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
