use std::sync::Arc;

use keywright_domain::{
    change::Change,
    command::{Command, CommandError, Committed, Context, Outcome},
    ids::KeyId,
    key::{ApiKey, KeyChange, KeyNumber, NewKey},
    operator::OperatorCredential,
    permit::{Action, Permit},
    principal::Membership,
    privacy::{PrivacyCommand, PrivacyOutcome},
    query::{KeyFilter, KeyQuery},
    retention::Retention,
    store::Store,
    time::Timestamp,
    workspace::{Workspace, WorkspacePatch},
};
use parking_lot::Mutex;

use crate::{Samples, VerificationState};

/// An installation that was set up in a store, with a workspace `acme`.
pub struct Installation<S: ?Sized> {
    /// The store.
    pub store: Arc<S>,
    /// Makes more objects.
    pub samples: Samples,
    /// The first operator credential.
    pub operator: OperatorCredential,
    /// The first workspace.
    pub workspace: Workspace,
    /// Its owner.
    pub owner: Membership,
}

impl<S: Store + ?Sized> Installation<S> {
    /// Sets up the installation in an empty store.
    pub async fn set_up(store: Arc<S>) -> Self {
        let samples = Samples::new(1);
        let command = Command::Bootstrap(Box::new(samples.bootstrap("acme")));
        let context = samples.context(Samples::operator_permit());
        let committed = store.execute(context, command).await.unwrap();
        let Outcome::Bootstrapped { operator, workspace: Some(first) } = committed.outcome else {
            panic!("another outcome: {:?}", committed.outcome);
        };
        let (workspace, owner) = *first;
        Self { store, samples, operator: *operator, workspace, owner }
    }

    /// The permit to change keys of the first workspace.
    pub fn keys_permit(&self) -> Permit {
        Samples::keys_permit(self.workspace.id)
    }

    /// Carries out a command on the installation.
    ///
    /// # Errors
    /// As the store.
    pub async fn operate(&self, command: Command) -> Result<Committed, CommandError> {
        self.store.execute(self.samples.context(Samples::operator_permit()), command).await
    }

    /// Carries out a command on the keys of the first workspace.
    ///
    /// # Errors
    /// As the store.
    pub async fn on_keys(&self, command: Command) -> Result<Committed, CommandError> {
        self.store.execute(self.samples.context(self.keys_permit()), command).await
    }

    /// Changes the first workspace.
    ///
    /// # Errors
    /// As the store.
    pub async fn patch_workspace(&self, patch: WorkspacePatch) -> Result<Committed, CommandError> {
        let workspace = self.workspace.id;
        let permit = Samples::permit(Action::WriteWorkspace, Some(workspace));
        self.store.execute(self.samples.context(permit), Command::PatchWorkspace { workspace, patch }).await
    }

    /// Creates a key with this name.
    pub async fn create_key(&self, name: &str) -> ApiKey {
        self.create(self.samples.new_key(name)).await
    }

    /// Creates this key.
    pub async fn create(&self, new: NewKey) -> ApiKey {
        key_of(self.on_keys(Command::CreateKey(Box::new(new))).await.unwrap())
    }

    /// Changes a key.
    ///
    /// # Errors
    /// As the store.
    pub async fn change(&self, key: KeyId, change: KeyChange) -> Result<Committed, CommandError> {
        self.on_keys(Command::ChangeKey { key, change }).await
    }

    /// Carries out a command on keys with a context of its own.
    ///
    /// # Errors
    /// As the store.
    pub async fn execute(&self, context: Context, command: Command) -> Result<Committed, CommandError> {
        self.store.execute(context, command).await
    }

    /// Removes all that was kept long enough at `at`; how many rows.
    pub async fn retain(&self, retention: &Retention, at: Timestamp) -> u64 {
        let (cutoffs, mut after, mut all) = (retention.cutoffs(at), KeyNumber(0), 0);
        loop {
            let command = Command::Privacy(PrivacyCommand::Retain { cutoffs, after });
            let outcome = self.operate(command).await.unwrap().outcome;
            let Outcome::Privacy(PrivacyOutcome::Retained { removed, next }) = outcome else {
                panic!("{outcome:?}")
            };
            all += removed;
            match next {
                Some(next) => after = next,
                None => return all,
            }
        }
    }

    /// A question for keys of the first workspace.
    pub fn query(&self, filter: KeyFilter, limit: u32) -> KeyQuery {
        KeyQuery { workspace: self.workspace.id, filter, now: Samples::NOW, after: None, limit }
    }

    /// The verification state as `load` gives it, with the sequence number that it reflects.
    pub async fn load(&self) -> (u64, VerificationState) {
        load(&*self.store).await
    }
}

/// The verification state as `load` gives it, with the sequence number that it reflects.
pub(crate) async fn load<S: Store + ?Sized>(store: &S) -> (u64, VerificationState) {
    let state = Arc::new(Mutex::new(VerificationState::default()));
    let fold = Arc::clone(&state);
    let sink = Box::new(move |change: Change| fold.lock().apply(change));
    let sequence = store.load(sink).await.unwrap();
    let state = state.lock().clone();
    (sequence, state)
}

/// The key that a command brought about.
pub(crate) fn key_of(committed: Committed) -> ApiKey {
    match committed.outcome {
        Outcome::Key(key) => *key,
        Outcome::ChangedKey(changed) => changed.key,
        other => panic!("another outcome: {other:?}"),
    }
}
