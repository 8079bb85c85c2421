//! Carrying out a command, and waiting until it holds everywhere.

use keywright_domain::{
    command::{Command, CommandError, Context, Outcome},
    key::{ApiKey, Incident},
    operator::OperatorCredential,
    permission::CatalogueEntry,
    plan::Plan,
    workspace::Workspace,
};

use crate::{error::ApiError, plane::Effective, state::AppState, v1::problems};

/// A command that was carried out.
pub(crate) struct Done {
    outcome: Outcome,
    /// What every node has applied by now.
    pub(crate) effective: Effective,
}

impl AppState {
    /// Carries out `command`. When this returns, no node goes by the state before.
    ///
    /// # Errors
    /// What [`problems::of_command`] makes of the store's refusal.
    pub(crate) async fn commit(&self, context: Context, command: Command) -> Result<Done, ApiError> {
        self.try_commit(context, command)
            .await
            .map_err(|error| problems::of_command(error, &self.plane.catalogue()))
    }

    /// As [`Self::commit`], for endpoints with a table of their own.
    pub(crate) async fn try_commit(&self, context: Context, command: Command) -> Result<Done, CommandError> {
        let committed = self.store.execute(context, command).await?;
        let effective = self.plane.barrier(&*self.clock, &committed).await;
        Ok(Done { outcome: committed.outcome, effective })
    }
}

fn unexpected() -> ApiError {
    ApiError::internal("the store answered a command with the outcome of another one")
}

impl Done {
    /// The key that was created or changed, and the incident that was opened.
    ///
    /// # Errors
    /// `internal_error` for another outcome, as with all of these.
    pub(crate) fn key(self) -> Result<(ApiKey, Option<Incident>), ApiError> {
        match self.outcome {
            Outcome::Key(key, incident) => Ok((*key, incident)),
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

    /// The operator credential.
    pub(crate) fn operator(self) -> Result<OperatorCredential, ApiError> {
        match self.outcome {
            Outcome::Operator(operator) => Ok(*operator),
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
