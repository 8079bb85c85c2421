//! Since when the prompts of each workspace are what they are. The engine knows nothing else of prompts: whoever keeps
//! rendered prompts in memory asks here whether they are still what the store has.

use std::{
    collections::HashMap,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use keywright_domain::workspace::WorkspaceNumber;
use parking_lot::RwLock;

use crate::Engine;

/// The last change of the prompts of each workspace, by its place in the log.
#[derive(Default)]
pub(crate) struct PromptChanges {
    /// What was loaded reflects everything up to here.
    loaded: AtomicU64,
    since: RwLock<HashMap<u32, u64>>,
}

impl PromptChanges {
    /// Everything was loaded as of `sequence`: what is kept from before may be of another history.
    pub(crate) fn loaded(&self, sequence: u64) {
        self.since.write().clear();
        self.loaded.store(sequence, Release);
    }

    /// The prompts of a workspace changed.
    pub(crate) fn changed(&self, workspace: WorkspaceNumber, sequence: u64) {
        self.since.write().insert(workspace.0, sequence);
    }

    fn of(&self, workspace: WorkspaceNumber) -> u64 {
        let since = self.since.read().get(&workspace.0).copied();
        since.unwrap_or_else(|| self.loaded.load(Acquire))
    }
}

impl Engine {
    /// The place in the log of the last change of the workspace's prompts, or of the load of the state if there was none
    /// since. Prompts that were read when the log's head was there or later are what the store has, as far as this
    /// engine has applied the log.
    pub fn prompts_changed_at(&self, workspace: WorkspaceNumber) -> u64 {
        self.state.prompts.of(workspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_for_its_workspace_until_everything_is_loaded_again() {
        let changes = PromptChanges::default();
        let (one, two) = (WorkspaceNumber(1), WorkspaceNumber(2));
        changes.loaded(10);
        assert_eq!((changes.of(one), changes.of(two)), (10, 10));
        changes.changed(one, 12);
        assert_eq!((changes.of(one), changes.of(two)), (12, 10));
        changes.loaded(1 << 32);
        assert_eq!((changes.of(one), changes.of(two)), (1 << 32, 1 << 32));
    }
}
