//! Operator credentials.

use keywright_domain::operator::OperatorCredential;
use serde::Serialize;
use utoipa::ToSchema;

use super::Time;

/// A credential that acts on the installation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Operator {
    /// The id.
    #[schema(example = "opr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The name.
    pub name: String,
    /// What is shown of its secret.
    #[schema(example = "ok_aB3dE6gH9kLm…wXyZ")]
    pub hint: String,
    /// When it was created.
    pub created_at: Time,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Time>,
}

impl From<OperatorCredential> for Operator {
    fn from(operator: OperatorCredential) -> Self {
        Self {
            id: operator.id.to_string(),
            name: operator.name,
            hint: operator.secret.hint,
            created_at: operator.created_at.into(),
            revoked_at: operator.revoked_at.map(Time),
        }
    }
}
