//! Since when the prompts of each workspace are what they are. The engine knows nothing else of prompts: whoever keeps
//! rendered prompts in memory asks here whether they are still what the store has.

use std::collections::HashMap;

use keywright_domain::workspace::WorkspaceNumber;
use parking_lot::RwLock;

use crate::Engine;

/// The last change of the prompts of each workspace, by its place in the log.
#[derive(Default)]
pub(crate) struct PromptChanges(RwLock<Since>);

#[derive(Default)]
struct Since {
    /// What was loaded reflects everything up to here.
    loaded: u64,
    changed: HashMap<u32, u64>,
}

impl PromptChanges {
    /// Everything was loaded as of `sequence`: what is kept from before may be of another history.
    pub(crate) fn loaded(&self, sequence: u64) {
        *self.0.write() = Since { loaded: sequence, changed: HashMap::new() };
    }

    /// The prompts of a workspace changed.
    pub(crate) fn changed(&self, workspace: WorkspaceNumber, sequence: u64) {
        self.0.write().changed.insert(workspace.0, sequence);
    }

    fn of(&self, workspace: WorkspaceNumber) -> u64 {
        let since = self.0.read();
        since.changed.get(&workspace.0).copied().unwrap_or(since.loaded)
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
