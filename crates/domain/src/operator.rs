//! Credentials of the installation's operator.

use crate::{ids::OperatorId, key::KeySecret, time::Timestamp};

/// A credential that acts on the installation as a whole (`ok_…`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCredential {
    /// The id.
    pub id: OperatorId,
    /// Name, to tell credentials apart.
    pub name: String,
    /// Its secret.
    pub secret: KeySecret,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// Why an operation on an operator credential is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// No credential has this id.
    #[error("there is no such operator credential")]
    NotFound,
    /// The last active credential cannot be revoked: nobody could act on the installation any more.
    #[error("the last active operator credential cannot be revoked; create another one first")]
    Last,
    /// The name is empty, too long or has control characters.
    #[error("a name has 1 to {} printable characters", crate::caps::NAME_MAX_CHARS)]
    Name,
}
