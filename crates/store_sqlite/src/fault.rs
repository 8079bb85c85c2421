//! What goes wrong inside the store, and how it is told outside.

use keywright_domain::{
    account::AccountError,
    command::{CommandError, IdempotencyError},
    credit::CreditError,
    identity::IdentityError,
    key::KeyError,
    operator::OperatorError,
    plan::PlanError,
    prompt::PromptError,
    store::StoreError,
    vault::VaultError,
    workspace::WorkspaceError,
};
use rusqlite::ErrorCode;

/// Why something did not happen.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite failed.
    Sql(rusqlite::Error),
    /// A row holds what it cannot hold.
    Damaged(String),
    /// Something cannot be sealed or opened.
    Vault(VaultError),
    /// The rules refuse.
    Refused(CommandError),
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl Fault {
    /// For a command's caller.
    pub(crate) fn into_command_error(self) -> CommandError {
        match self {
            Self::Refused(error) => error,
            other => CommandError::Store(other.into_store_error()),
        }
    }

    /// For everyone else.
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Sql(error) => store_error(&error),
            Self::Damaged(text) => StoreError::Damaged(text),
            Self::Vault(error) => StoreError::Damaged(error.to_string()),
            Self::Refused(CommandError::Store(error)) => error,
            Self::Refused(error) => StoreError::Internal(error.to_string()),
        }
    }
}

/// What an error of SQLite means before a commit: nothing was changed.
pub(crate) fn store_error(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(text),
        Some(
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => StoreError::ReadOnly(text),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(text),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed,
        ) => StoreError::Unavailable(text),
        None if is_unreadable(error) => StoreError::Damaged(text),
        Some(_) | None => StoreError::Internal(text),
    }
}

/// What an error of the commit itself means: after an I/O error nobody knows what a restart will find.
pub(crate) fn commit_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure) => StoreError::CommitUnknown(error.to_string()),
        _ => store_error(error),
    }
}

fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

/// Errors are not `Clone`; every waiter of a group gets its own.
pub(crate) fn copy_of(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
        StoreError::Full(text) => StoreError::Full(text.clone()),
        StoreError::ReadOnly(text) => StoreError::ReadOnly(text.clone()),
        StoreError::Damaged(text) => StoreError::Damaged(text.clone()),
        StoreError::CommitUnknown(text) => StoreError::CommitUnknown(text.clone()),
        StoreError::Internal(text) => StoreError::Internal(text.clone()),
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

macro_rules! refusals {
    ($($error:ty),+) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Refused(error.into())
            }
        }
    )+};
}
refusals!(
    IdentityError,
    AccountError,
    KeyError,
    WorkspaceError,
    PlanError,
    OperatorError,
    CreditError,
    IdempotencyError,
    StoreError,
    PromptError
);
