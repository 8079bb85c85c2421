//! From the store into memory.

use std::{collections::BTreeSet, sync::Arc};

use keywright_domain::{
    change::Change,
    limits::LimitWindow,
    store::{Store, StoreError},
};
use keywright_engine::{ApplyError, Engine};
use parking_lot::Mutex;

use super::peppers::Peppers;
use crate::failure::{Exit, Failure};

/// A state that is in memory.
pub(crate) struct Loaded {
    /// The last change that it reflects.
    pub(crate) sequence: u64,
    /// The longest limit window of all, in seconds.
    pub(crate) longest_window_seconds: u32,
}

/// Why the state is not in memory.
pub(crate) enum LoadProblem {
    /// The store could not be read to the end.
    Store(StoreError),
    /// What is in the store does not fit this process.
    Unfit(Failure),
}

/// Puts every key into memory.
pub(crate) async fn load_into(
    store: &dyn Store,
    engine: &Arc<Engine>,
    peppers: &Peppers,
) -> Result<Loaded, LoadProblem> {
    let found = Arc::new(Mutex::new(Found::default()));
    let (into, noted) = (Arc::clone(engine), Arc::clone(&found));
    let sequence = store
        .load(Box::new(move |change| noted.lock().take(&into, &change)))
        .await
        .map_err(LoadProblem::Store)?;
    let found = std::mem::take(&mut *found.lock());
    let broken = |error: &ApplyError| {
        LoadProblem::Unfit(
            Failure::new(Exit::Data, format!("the keys cannot be loaded: {error}"))
                .remedy("check the data with: keywright doctor; or restore a backup"),
        )
    };
    if let Some(error) = found.error {
        return Err(broken(&error));
    }
    peppers.check_versions(found.pepper_versions).map_err(LoadProblem::Unfit)?;
    engine.finish_load(sequence).map_err(|error| broken(&error))?;
    Ok(Loaded { sequence, longest_window_seconds: found.longest_window_seconds })
}

/// What came up while loading.
#[derive(Default)]
struct Found {
    error: Option<ApplyError>,
    pepper_versions: BTreeSet<u16>,
    last_version: Option<u16>,
    longest_window_seconds: u32,
}

impl Found {
    fn take(&mut self, engine: &Engine, change: &Change) {
        if self.error.is_some() {
            return;
        }
        match change {
            Change::Key(key) => {
                for secret in &key.secrets {
                    self.note(secret.digest.pepper);
                }
                self.note_windows(key.limits.as_deref().unwrap_or_default());
            }
            Change::Plan(plan) => {
                self.note_windows(&plan.key_limits);
                self.note_windows(&plan.workspace_limits);
            }
            Change::Operators(operators) => {
                for operator in operators {
                    self.note(operator.secret.digest.pepper);
                }
            }
            _ => {}
        }
        self.error = engine.load(change).err();
    }

    fn note_windows(&mut self, windows: &[LimitWindow]) {
        let longest = windows.iter().map(|window| window.window_seconds).max().unwrap_or(0);
        self.longest_window_seconds = self.longest_window_seconds.max(longest);
    }

    fn note(&mut self, version: u16) {
        // A million keys under the same pepper.
        if self.last_version != Some(version) {
            self.last_version = Some(version);
            self.pepper_versions.insert(version);
        }
    }
}
