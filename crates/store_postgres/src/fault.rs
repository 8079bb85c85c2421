//! What goes wrong inside the store, and how it is told outside.

use std::error::Error as _;

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
use tokio_postgres::{
    Error,
    error::{DbError, Severity, SqlState},
    types::WrongType,
};

use crate::connect::ConnectError;

/// Why something did not happen.
#[derive(Debug)]
pub(crate) enum Fault {
    /// `PostgreSQL` refused a statement, or the connection to it is lost.
    Sql(Error),
    /// `PostgreSQL` did not answer in time.
    Silent,
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
    /// What it means before a commit: nothing was changed.
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Sql(error) => store_error(&error),
            Self::Silent => StoreError::Unavailable(SILENT.to_owned()),
            Self::Damaged(text) => StoreError::Damaged(text),
            Self::Vault(error) => StoreError::Damaged(error.to_string()),
            Self::Refused(CommandError::Store(error)) => error,
            Self::Refused(error) => StoreError::Internal(error.to_string()),
        }
    }

    /// Whether the connection cannot be used any more.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            Self::Sql(error) => ends_connection(error),
            Self::Silent => true,
            Self::Damaged(_) | Self::Vault(_) | Self::Refused(_) => false,
        }
    }

    /// Whether the server does not know what was asked for.
    pub(crate) fn is_not_understood(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        matches!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED | &SqlState::SYNTAX_ERROR))
    }

    /// Whether the same commands, one by one, may fare better.
    pub(crate) fn is_of_one_command(&self) -> bool {
        match self {
            Self::Sql(error) => !matches!(
                error.code(),
                Some(
                    &SqlState::LOCK_NOT_AVAILABLE
                        | &SqlState::DISK_FULL
                        | &SqlState::READ_ONLY_SQL_TRANSACTION
                )
            ),
            Self::Silent => false,
            Self::Damaged(_) | Self::Vault(_) | Self::Refused(_) => true,
        }
    }
}

const SILENT: &str = "PostgreSQL does not answer; check that it and the network to it work";

fn ends_connection(error: &Error) -> bool {
    match error.as_db_error() {
        Some(answer) => matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic) | None),
        None => true,
    }
}

/// What an error of `PostgreSQL` means before a commit: nothing was changed.
pub(crate) fn store_error(error: &Error) -> StoreError {
    let Some(answer) = error.as_db_error() else {
        let is_defect = error.source().is_some_and(<dyn std::error::Error>::is::<WrongType>);
        let text = describe(error);
        return if is_defect {
            StoreError::Internal(text)
        } else {
            StoreError::Unavailable(format!("the connection to PostgreSQL is lost: {text}"))
        };
    };
    let text = describe_answer(answer);
    let code = answer.code();
    if *code == SqlState::DISK_FULL {
        StoreError::Full(text)
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        StoreError::ReadOnly(format!("{text}; connect to the primary server"))
    } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        StoreError::Damaged(text)
    } else if *code == SqlState::LOCK_NOT_AVAILABLE {
        StoreError::Unavailable(format!("{text}; another session holds a lock, see pg_stat_activity"))
    } else if is_of_a_pool(code) {
        StoreError::Unavailable(ConnectError::Pooled(text).to_string())
    } else if *code == SqlState::UNDEFINED_TABLE {
        let text = format!(
            "there is no installation in this schema of the database ({text}): `keywright init` makes one, or \
             database.url or database.schema is another"
        );
        StoreError::Unavailable(text)
    } else if is_passing(code) {
        StoreError::Unavailable(text)
    } else {
        StoreError::Internal(text)
    }
}

/// Whether what was prepared, or set, in this session a moment ago is not there.
pub(crate) fn is_of_a_pool(code: &SqlState) -> bool {
    [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT].contains(code)
}

/// Whether the error is one of the server's state and not of the statement.
fn is_passing(code: &SqlState) -> bool {
    // Connections, transactions that met others, resources, operators at work, the system.
    ["08", "40", "53", "57", "58"].iter().any(|class| code.code().starts_with(class))
}

/// An error for operators. Details are left out: they may quote what is stored.
pub(crate) fn describe(error: &Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return describe_answer(answer);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn describe_answer(answer: &DbError) -> String {
    format!("{} (SQLSTATE {})", answer.message(), answer.code().code())
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

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
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
