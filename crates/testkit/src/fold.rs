use std::collections::BTreeMap;

use keywright_domain::{
    change::{Change, ChangeSink, KeyView, MembershipView, NumberedChange, WorkspaceView},
    operator::OperatorCredential,
    permission::CatalogueEntry,
    plan::Plan,
};
use parking_lot::Mutex;

/// The verification state, as changes add up to it: an engine reduced to maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerificationState {
    /// Keys by number.
    pub keys: BTreeMap<u32, KeyView>,
    /// Workspaces by number.
    pub workspaces: BTreeMap<u32, WorkspaceView>,
    /// Memberships by number.
    pub memberships: BTreeMap<u32, MembershipView>,
    /// Plans by name.
    pub plans: BTreeMap<String, Plan>,
    /// The permission catalogue.
    pub catalogue: Vec<CatalogueEntry>,
    /// Operator credentials that are not revoked.
    pub operators: Vec<OperatorCredential>,
}

impl VerificationState {
    /// Applies one change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Key(key) => drop(self.keys.insert(key.number.0, *key)),
            Change::KeyRemoved(number) => drop(self.keys.remove(&number.0)),
            Change::Workspace(workspace) => drop(self.workspaces.insert(workspace.number.0, workspace)),
            Change::WorkspaceRemoved(number) => drop(self.workspaces.remove(&number.0)),
            Change::Membership(membership) => drop(self.memberships.insert(membership.number.0, membership)),
            Change::Plan(plan) => drop(self.plans.insert(plan.name.clone(), plan)),
            Change::PlanRemoved(name) => drop(self.plans.remove(&name)),
            Change::Catalogue(entries) => self.catalogue = entries,
            Change::Operators(operators) => self.operators = operators,
            // Nothing that verification knows.
            Change::Prompts(_) => {}
        }
    }
}

/// Remembers all changes that it is handed, and checks that none is missing.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<NumberedChange>>);

impl Recorder {
    /// All changes so far, in order.
    pub fn changes(&self) -> Vec<NumberedChange> {
        self.0.lock().clone()
    }
}

impl ChangeSink for Recorder {
    fn committed(&self, changes: &[NumberedChange]) {
        let mut seen = self.0.lock();
        for change in changes {
            if let Some(last) = seen.last() {
                assert_eq!(change.sequence, last.sequence + 1, "the log has a gap, or its order is not kept");
            }
            seen.push(change.clone());
        }
    }
}
