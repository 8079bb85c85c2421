//! Invitations.

use keywright_domain::{account, permission::Catalogue};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Principal, Role, Time};

/// Somebody who was invited to a workspace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invitation {
    /// The id.
    #[schema(example = "inv_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The address that is invited; `null` when the person's data was erased.
    #[schema(example = "ada@company.com")]
    pub email: Option<String>,
    /// The role.
    pub role: Role,
    /// Permissions within the role; `null`: all of the role's.
    #[schema(example = json!(["keys:read", "keys:write"]))]
    pub permissions: Option<Vec<String>>,
    /// Who invited, or sent the invitation again last.
    pub invited_by: Principal,
    /// When it was written.
    pub created_at: Time,
    /// When the link that is good was made.
    pub sent_at: Time,
    /// When the link ends.
    pub expires_at: Time,
}

impl Invitation {
    /// An invitation as it goes over the wire.
    pub(crate) fn new(
        invitation: &account::Invitation,
        email: Option<String>,
        catalogue: &Catalogue,
    ) -> Self {
        let names = |set| catalogue.names(set).map(str::to_owned).collect();
        Self {
            id: invitation.id.to_string(),
            email,
            role: invitation.role.into(),
            permissions: invitation.narrowed_to.map(names),
            invited_by: invitation.invited_by.principal.into(),
            created_at: invitation.created_at.into(),
            sent_at: invitation.sent_at.into(),
            expires_at: invitation.expires_at.into(),
        }
    }
}
