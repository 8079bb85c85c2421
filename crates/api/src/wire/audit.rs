//! The audit trail.

use keywright_domain::audit::{self, AuditBody, StoredEntry};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Principal, Time};
use crate::error::ApiError;

/// What was changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditTarget {
    /// `key`, `workspace`, `plan`, `permission`, `operator`, …
    #[serde(rename = "type")]
    #[schema(example = "key")]
    pub kind: String,
    /// Its id or name.
    pub id: String,
}

/// Who changed it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditActor {
    /// `operator`, `key` or `system`.
    #[serde(rename = "type")]
    #[schema(example = "operator")]
    pub kind: String,
    /// Its id; none for the system.
    pub id: Option<String>,
    /// For a key: the principal who created it.
    pub principal: Option<Principal>,
}

/// One field, before and after. Never a secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldChange {
    /// The field's name.
    #[schema(example = "name")]
    pub field: String,
    /// Its value before, as text.
    pub before: Option<String>,
    /// Its value after, as text.
    pub after: Option<String>,
}

/// One entry of the audit trail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// The id.
    #[schema(example = "aud_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// Position in the installation's chain, from 1.
    pub sequence: u64,
    /// When.
    pub at: Time,
    /// What happened.
    #[schema(example = "key.revoked")]
    pub action: String,
    /// To what.
    pub target: AuditTarget,
    /// In which workspace, by id; `null` for the installation.
    pub workspace_id: Option<String>,
    /// By whom.
    pub actor: AuditActor,
    /// In which request.
    pub request_id: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
    /// What was changed.
    pub changes: Vec<FieldChange>,
    /// From where, unless it was erased.
    pub address: Option<String>,
    /// With what, unless it was erased.
    pub user_agent: Option<String>,
    /// The chain's hash after this entry, in hexadecimal.
    pub hash: String,
}

impl TryFrom<StoredEntry> for AuditEntry {
    type Error = ApiError;

    fn try_from(entry: StoredEntry) -> Result<Self, ApiError> {
        let body: AuditBody = serde_json::from_slice(&entry.body).map_err(|error| {
            ApiError::internal(format!("audit entry {} cannot be read: {error}", entry.sequence))
        })?;
        let (address, user_agent) = match entry.personal {
            Some(personal) => (personal.address.map(|address| address.to_string()), personal.user_agent),
            None => (None, None),
        };
        let changes = body.fields.into_iter().map(|change| FieldChange {
            field: change.field,
            before: change.before,
            after: change.after,
        });
        Ok(Self {
            id: body.id.to_string(),
            sequence: entry.sequence,
            at: body.at.into(),
            action: body.action,
            target: AuditTarget { kind: body.target.kind, id: body.target.id },
            workspace_id: body.workspace.map(|id| id.to_string()),
            actor: AuditActor {
                kind: body.actor.kind,
                id: body.actor.id,
                principal: body.actor.principal.map(Principal::from),
            },
            request_id: body.request_id.map(|id| id.to_string()),
            reason: body.reason,
            changes: changes.collect(),
            address,
            user_agent,
            hash: hex(&entry.hash),
        })
    }
}

/// A signed statement: up to here, the chain's hash is this.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Checkpoint {
    /// The entry it speaks of.
    pub sequence: u64,
    /// The chain's hash after that entry, in hexadecimal.
    pub hash: String,
    /// When it was signed.
    pub at: Time,
    /// The Ed25519 key that signed (RFC 8032), in hexadecimal.
    pub public_key: String,
    /// The signature, in hexadecimal.
    pub signature: String,
}

impl From<audit::Checkpoint> for Checkpoint {
    fn from(checkpoint: audit::Checkpoint) -> Self {
        Self {
            sequence: checkpoint.sequence,
            hash: hex(&checkpoint.hash),
            at: checkpoint.at.into(),
            public_key: hex(&checkpoint.public_key),
            signature: hex(&checkpoint.signature),
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
