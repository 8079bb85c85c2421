//! The workspaces that commands were about lately, with their number of keys.

use std::{collections::HashMap, sync::Arc};

use keywright_domain::{
    ids::WorkspaceId,
    workspace::{Workspace, WorkspaceError},
};
use rusqlite::{Connection, params};

use crate::{
    fault::Fault,
    known::KnownWorkspaces,
    rows::installation::{CountedWorkspace, workspace_by_id},
    sql::installation as sql,
};

/// Most workspaces that are remembered.
const REMEMBERED_MAX: usize = 4_096;

/// Workspaces by id, as the running transaction sees them.
#[derive(Default)]
pub(super) struct Workspaces {
    by_id: HashMap<WorkspaceId, CountedWorkspace>,
    /// Those whose number of keys is not in the database yet.
    recounted: Vec<WorkspaceId>,
    /// Whether the running transaction changed a workspace.
    is_changed: bool,
    /// What those who ask know of workspaces.
    known: Arc<KnownWorkspaces>,
}

impl Workspaces {
    /// Nothing is remembered yet; `known` is told when workspaces change.
    pub(super) fn new(known: Arc<KnownWorkspaces>) -> Self {
        Self { known, ..Self::default() }
    }

    /// The workspace with this id.
    pub(super) fn get(
        &mut self,
        connection: &Connection,
        id: WorkspaceId,
    ) -> Result<&CountedWorkspace, Fault> {
        if !self.by_id.contains_key(&id) {
            let found = workspace_by_id(connection, id)?.ok_or(WorkspaceError::NotFound)?;
            if self.by_id.len() >= REMEMBERED_MAX && self.recounted.is_empty() {
                self.by_id.clear();
            }
            self.by_id.insert(id, found);
        }
        Ok(&self.by_id[&id])
    }

    /// The workspace is now so.
    pub(super) fn replace(&mut self, workspace: Workspace) {
        self.is_changed = true;
        if let Some(known) = self.by_id.get_mut(&workspace.id) {
            known.workspace = workspace;
        }
    }

    /// Nothing is left of the workspace.
    pub(super) fn remove(&mut self, id: WorkspaceId) {
        self.is_changed = true;
        self.by_id.remove(&id);
        self.recounted.retain(|recounted| *recounted != id);
    }

    /// The workspace, which is known, has more or fewer keys.
    pub(super) fn count(&mut self, id: WorkspaceId, difference: i32) {
        if let Some(known) = self.by_id.get_mut(&id) {
            known.key_count = known.key_count.saturating_add_signed(difference);
            if !self.recounted.contains(&id) {
                self.recounted.push(id);
            }
        }
    }

    /// Writes the numbers of keys that changed: once per transaction instead of once per key.
    pub(super) fn keep_counts(&mut self, connection: &Connection) -> Result<(), Fault> {
        for id in self.recounted.drain(..) {
            let known = &self.by_id[&id];
            connection
                .prepare_cached(sql::UPDATE_KEY_COUNT)?
                .execute(params![known.workspace.number.0, known.key_count])?;
        }
        Ok(())
    }

    /// The transaction was committed, and nobody has been told yet.
    pub(super) fn committed(&mut self) {
        if std::mem::take(&mut self.is_changed) {
            self.known.forget();
        }
    }

    /// Forgets everything: a transaction was lost.
    pub(super) fn forget(&mut self) {
        self.is_changed = false;
        self.known.forget();
        self.by_id.clear();
        self.recounted.clear();
    }
}
