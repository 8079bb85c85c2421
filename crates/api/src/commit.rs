//! Carrying out a command, and waiting until it holds everywhere.
//!
//! Once a command is with the store, nothing that happens to the request stops it: it is carried out in a task of its
//! own, so that a client that goes away takes nothing with it.

use std::time::Duration;

use keywright_domain::{
    account::AccountOutcome,
    command::{ChangedKey, Command, Committed, Context, Outcome, WorkspaceCommand},
    credit::{CreditAccount, Reservation},
    key::{ApiKey, KeyChange},
    member::MemberOutcome,
    operator::OperatorCredential,
    permission::CatalogueEntry,
    plan::Plan,
    privacy::{Collection, PrivacyCommand, PrivacyOutcome},
    prompt::{PromptCommand, PromptOutcome},
    workspace::Workspace,
};

use crate::{
    actor::Origin,
    cluster::{Awaited, Progress, WaitingOn},
    error::ApiError,
    plane::Effective,
    prefer::patience,
    state::AppState,
    v1::problems,
};

/// How long a call waits for the other nodes unless it says otherwise: longer than a change in a workspace with the
/// standard lease takes at the longest, which is 38 seconds.
const PATIENCE_SECONDS: u32 = 40;
/// How long a call waits until this node goes by a change that takes nothing away. It is in force anyway.
const HERE_PATIENCE: Duration = Duration::from_secs(2);

/// A command that was carried out, and that other nodes may not go by yet.
pub(crate) struct Carried {
    committed: Committed,
    takes_away: TakesAway,
}

impl Carried {
    /// How many prompts were deleted of the person who is to be erased.
    pub(crate) fn prompts_erased(self) -> Result<u64, ApiError> {
        match self.committed.outcome {
            Outcome::Privacy(PrivacyOutcome::PromptsErased(count)) => Ok(count),
            _ => Err(unexpected()),
        }
    }
}

/// Whether a command takes something away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakesAway {
    /// It does, or did when the same was asked before: perhaps by a call whose answer was lost, and which waits still.
    Perhaps,
    /// Only if the store says so.
    IfRestricting,
}

/// A command that was carried out, and how far it is.
pub(crate) struct Done {
    outcome: Outcome,
    /// How far it is.
    pub(crate) receipt: Receipt,
}

/// How far a change is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Receipt {
    /// Which change.
    pub(crate) change: Awaited,
    /// How far.
    pub(crate) reached: Reached,
    /// The wait that the caller asked for and got, in seconds.
    pub(crate) wait_seconds: Option<u32>,
}

/// How far a change is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reached {
    /// What it took away, no node gives any more.
    Holds(Effective),
    /// Some nodes may still give it.
    Waiting {
        /// Which, as far as they are known.
        on: Vec<WaitingOn>,
        /// In this time it holds at the latest.
        complete_in: Duration,
    },
}

impl AppState {
    /// Carries out `command`, and waits for the other nodes as long as the caller likes.
    ///
    /// # Errors
    /// What [`problems::of_command`] makes of the store's refusal.
    pub(crate) async fn commit(
        &self,
        origin: &Origin,
        context: Context,
        command: Command,
    ) -> Result<Done, ApiError> {
        let carried = self.carry_out(context, command).await?;
        Ok(self.hold(origin, carried).await)
    }

    /// Carries out `command`.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub(crate) async fn carry_out(&self, context: Context, command: Command) -> Result<Carried, ApiError> {
        let takes_away = takes_away(&command);
        let is_of_credits = matches!(command, Command::Credit(_));
        let state = self.clone();
        let task = tokio::spawn(async move {
            let committed = state.store.execute(context, command).await;
            if is_of_credits {
                state.credits.note_change();
            }
            let committed = committed?;
            state.settle_later(&committed);
            Ok(committed)
        });
        let committed =
            task.await.map_err(|error| ApiError::internal(format!("a command's task: {error}")))?;
        let committed = committed.map_err(|error| problems::of_command(error, &self.plane.catalogue()))?;
        Ok(Carried { committed, takes_away })
    }

    /// Waits until a change that takes something away holds on every node; one that does not, on this one.
    pub(crate) async fn hold(&self, origin: &Origin, carried: Carried) -> Done {
        let Committed { sequence, restricting, wait, outcome } = carried.committed;
        let change = Awaited { sequence, term: wait };
        let receipt = if restricting || carried.takes_away == TakesAway::Perhaps {
            self.everywhere(origin, change, PATIENCE_SECONDS).await
        } else {
            let since_ns = self.clock.boot_ns();
            // It is in force, and this node will go by it, too: that it takes a while is no failure of the call.
            let _late = self.plane.cluster().here(sequence, HERE_PATIENCE).await;
            let effective = Effective::since(&*self.clock, since_ns, 1, 0);
            Receipt { change, reached: Reached::Holds(effective), wait_seconds: None }
        };
        Done { outcome, receipt }
    }

    /// Waits until every node goes by `change`, as long as the caller likes.
    pub(crate) async fn everywhere(&self, origin: &Origin, change: Awaited, default_seconds: u32) -> Receipt {
        let since_ns = self.clock.boot_ns();
        let patience = patience(origin.wait_seconds, default_seconds);
        origin.allowance.extend(patience);
        let reached = match self.plane.cluster().everywhere(change, patience).await {
            Progress::Holds { nodes, silent } => {
                Reached::Holds(Effective::since(&*self.clock, since_ns, nodes, silent))
            }
            Progress::Waiting { on, complete_in } => Reached::Waiting { on, complete_in },
        };
        Receipt { change, reached, wait_seconds: origin.wait_seconds }
    }
}

/// A repeat of such a command may change nothing more, and still must not be answered before the first one holds.
fn takes_away(command: &Command) -> TakesAway {
    let is_asked = match command {
        Command::ChangeKey { change, .. } => match change {
            KeyChange::Revoke { .. }
            | KeyChange::Disable
            | KeyChange::DisableIdle { .. }
            | KeyChange::Delete
            | KeyChange::Compromise { .. }
            | KeyChange::CompleteRotation
            | KeyChange::CancelRotation => true,
            KeyChange::Patch(patch) => {
                patch.permissions.is_some()
                    || patch.expires_at.is_some()
                    || patch.limits.is_some()
                    || patch.networks.is_some()
            }
            KeyChange::Rotate { .. } | KeyChange::Enable => false,
        },
        Command::Member(command) => command.takes_away(),
        Command::PatchWorkspace { patch, .. } => {
            patch.suspended == Some(true) || patch.plan.is_some() || patch.policy.is_some()
        }
        Command::Workspace(command) => matches!(command, WorkspaceCommand::Delete { .. }),
        Command::Prompt(command) => matches!(
            command,
            PromptCommand::SetArchived { archived: true, .. }
                | PromptCommand::SetVersionArchived { archived: true, .. }
                | PromptCommand::RemoveContext { .. }
                | PromptCommand::Delete(_)
        ),
        Command::RevokeKeys { .. }
        | Command::RevokeOperator(_)
        | Command::PutPlan(_)
        | Command::DeletePlan(_)
        | Command::Privacy(
            PrivacyCommand::Erase { .. }
            | PrivacyCommand::ErasePrompts { .. }
            | PrivacyCommand::SetCollection { collection: Collection::OptedOut, .. },
        ) => true,
        Command::Bootstrap(_)
        | Command::CreateKey(_)
        | Command::Redigest(_)
        | Command::Privacy(
            PrivacyCommand::Rewrap { .. }
            | PrivacyCommand::RecordExport { .. }
            | PrivacyCommand::SetCollection { collection: Collection::Kept, .. }
            | PrivacyCommand::GiveConsent { .. }
            | PrivacyCommand::WithdrawConsent { .. }
            | PrivacyCommand::Retain { .. },
        )
        | Command::CreateWorkspace(_)
        | Command::SettleLease { .. }
        | Command::CreateMember { .. }
        | Command::Identity(_)
        | Command::PutPermission { .. }
        | Command::CreateOperator(_)
        | Command::Credit(_)
        // Looked up in the store with every request: nothing to wait for.
        | Command::Account(_)
        | Command::Invitation(_)
        | Command::Credential(_) => false,
    };
    if is_asked { TakesAway::Perhaps } else { TakesAway::IfRestricting }
}

/// The store answered with the outcome of another command.
pub(crate) fn unexpected() -> ApiError {
    ApiError::internal("the store answered a command with the outcome of another one")
}

impl Done {
    /// The last sequence number that the change took in the log.
    pub(crate) const fn sequence(&self) -> u64 {
        self.receipt.change.sequence
    }

    /// The key that was created.
    ///
    /// # Errors
    /// `internal_error` for another outcome, as with all of these.
    pub(crate) fn key(self) -> Result<ApiKey, ApiError> {
        match self.outcome {
            Outcome::Key(key) => Ok(*key),
            _ => Err(unexpected()),
        }
    }

    /// The key that was changed, and what it takes to show it.
    ///
    /// # Errors
    /// `internal_error`.
    pub(crate) fn changed_key(self) -> Result<ChangedKey, ApiError> {
        match self.outcome {
            Outcome::ChangedKey(changed) => Ok(*changed),
            _ => Err(unexpected()),
        }
    }

    /// How many keys a bulk revocation took.
    pub(crate) fn revoked(self) -> Result<u64, ApiError> {
        match self.outcome {
            Outcome::Revoked(count) => Ok(count),
            _ => Err(unexpected()),
        }
    }

    /// The workspace.
    pub(crate) fn workspace(self) -> Result<Workspace, ApiError> {
        match self.outcome {
            Outcome::Workspace(workspace) => Ok(*workspace),
            _ => Err(unexpected()),
        }
    }

    /// The plan.
    pub(crate) fn plan(self) -> Result<Plan, ApiError> {
        match self.outcome {
            Outcome::Plan(plan) => Ok(plan),
            _ => Err(unexpected()),
        }
    }

    /// The catalogue entry.
    pub(crate) fn permission(self) -> Result<CatalogueEntry, ApiError> {
        match self.outcome {
            Outcome::Permission(entry) => Ok(entry),
            _ => Err(unexpected()),
        }
    }

    /// What became of an account.
    pub(crate) fn account(self) -> Result<AccountOutcome, ApiError> {
        match self.outcome {
            Outcome::Account(outcome) => Ok(outcome),
            _ => Err(unexpected()),
        }
    }

    /// What a change of members brought about.
    pub(crate) fn members(self) -> Result<MemberOutcome, ApiError> {
        match self.outcome {
            Outcome::Member(outcome) => Ok(outcome),
            _ => Err(unexpected()),
        }
    }

    /// The operator credential.
    pub(crate) fn operator(self) -> Result<OperatorCredential, ApiError> {
        match self.outcome {
            Outcome::Operator(operator) => Ok(*operator),
            _ => Err(unexpected()),
        }
    }

    /// How many memberships ended with the person who was erased.
    pub(crate) fn erased(self) -> Result<u64, ApiError> {
        match self.outcome {
            Outcome::Privacy(PrivacyOutcome::Erased(count)) => Ok(count),
            _ => Err(unexpected()),
        }
    }

    /// The credit account, and the reservation that was asked for.
    pub(crate) fn credit(self) -> Result<(CreditAccount, Option<Reservation>), ApiError> {
        match self.outcome {
            Outcome::Credit(account, reservation) => Ok((*account, reservation.map(|made| *made))),
            _ => Err(unexpected()),
        }
    }

    /// The prompt, and what belongs to it.
    pub(crate) fn prompt(self) -> Result<PromptOutcome, ApiError> {
        match self.outcome {
            Outcome::Prompt(outcome) => Ok(*outcome),
            _ => Err(unexpected()),
        }
    }

    /// The first operator credential and workspace.
    pub(crate) fn bootstrapped(self) -> Result<(OperatorCredential, Option<Workspace>), ApiError> {
        match self.outcome {
            Outcome::Bootstrapped { operator, workspace } => Ok((*operator, workspace.map(|both| both.0))),
            _ => Err(unexpected()),
        }
    }
}
