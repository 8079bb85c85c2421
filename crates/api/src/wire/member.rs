//! Members and service accounts.

use keywright_domain::{
    member::{self, Person},
    permission::{Catalogue, PermissionSet},
    principal::{self, Membership},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Principal, Role, Time};

/// A person in a workspace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Member {
    /// The person's id.
    #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// Address the person signs in with; `null` when the person's data was erased.
    #[schema(example = "ada@company.com")]
    pub email: Option<String>,
    /// Name shown to others.
    #[schema(example = "Ada")]
    pub name: Option<String>,
    /// The role.
    pub role: Role,
    /// Permissions within the role; `null`: all of the role's.
    #[schema(example = json!(["keys:read", "keys:write"]))]
    pub permissions: Option<Vec<String>>,
    /// What the member may do now, and with it, what the member's keys may do at most.
    #[schema(example = json!(["keys:read", "keys:write"]))]
    pub effective_permissions: Vec<String>,
    /// When the membership began.
    pub joined_at: Time,
}

impl Member {
    /// A member as it goes over the wire; `person` is who it is.
    pub(crate) fn new(membership: &Membership, person: Option<&Person>, catalogue: &Catalogue) -> Self {
        Self {
            id: membership.principal.id_text(),
            email: person.map(|person| person.email.clone()),
            name: person.map(|person| person.name.clone()),
            role: membership.role.into(),
            permissions: membership.narrowed_to.map(|set| names(catalogue, set)),
            effective_permissions: names(catalogue, membership.permissions()),
            joined_at: membership.created_at.into(),
        }
    }
}

/// What a service account is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// Its keys are accepted.
    Active,
    /// None of its keys is.
    Disabled,
}

/// An account that is not a person: of one application, with a team that answers for it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServiceAccount {
    /// The id.
    #[schema(example = "sa_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The name.
    #[schema(example = "api-production")]
    pub name: String,
    /// Its identity in the form of an e-mail address, unique in the workspace. Nothing is ever sent to it.
    #[schema(example = "api-production@company.com")]
    pub email: String,
    /// What it is for.
    #[schema(example = "The public interface")]
    pub purpose: Option<String>,
    /// The team that answers for it.
    #[schema(example = "platform")]
    pub owning_team: Option<String>,
    /// Whether its keys are accepted.
    pub status: AccountStatus,
    /// The role.
    pub role: Role,
    /// Permissions within the role; `null`: all of the role's.
    #[schema(example = json!(["prompts:read"]))]
    pub permissions: Option<Vec<String>>,
    /// What it may do now, and with it, what its keys may do at most.
    #[schema(example = json!(["prompts:read"]))]
    pub effective_permissions: Vec<String>,
    /// Who created it.
    pub created_by: Principal,
    /// When it was created.
    pub created_at: Time,
}

impl ServiceAccount {
    /// A service account as it goes over the wire.
    pub(crate) fn new(
        account: member::ServiceAccount,
        membership: &Membership,
        catalogue: &Catalogue,
    ) -> Self {
        let is_disabled = membership.disabled_at.is_some();
        Self {
            id: account.id.to_string(),
            name: account.name,
            email: account.email,
            purpose: account.purpose,
            owning_team: account.owning_team,
            status: if is_disabled { AccountStatus::Disabled } else { AccountStatus::Active },
            role: membership.role.into(),
            permissions: membership.narrowed_to.map(|set| names(catalogue, set)),
            effective_permissions: names(catalogue, membership.permissions()),
            created_by: principal::Principal::into(account.created_by),
            created_at: account.created_at.into(),
        }
    }
}

/// What became of keys.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MovedKeys {
    /// Keys that no node accepts any more, because their creator's membership ended.
    #[schema(example = 0)]
    pub stopped: u64,
    /// Keys that belong to the service account now, and go on working within its permissions.
    #[schema(example = 3)]
    pub handed_over: u64,
    /// What to look at.
    pub warnings: Vec<HandOverWarning>,
}

/// Something to look at after a hand-over.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HandOverWarning {
    /// `permissions_lost`: the service account may do less than the creator before it. `secret_known`: whoever had the
    /// key may still have its secret.
    #[schema(example = "permissions_lost")]
    pub code: &'static str,
    /// The key; `null`: all that were handed over.
    #[schema(example = "key_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub key_id: Option<String>,
    /// What the key may not do any more.
    #[schema(example = json!(["prompts:write"]))]
    pub lost_permissions: Vec<String>,
    /// The same in a sentence.
    #[schema(example = "This key may not use prompts:write any more.")]
    pub message: String,
}

impl MovedKeys {
    /// What became of keys, as it goes over the wire.
    pub(crate) fn new(moved: &member::KeysMoved, catalogue: &Catalogue) -> Self {
        let lost = moved.shrunk.iter().map(|(key, lost)| {
            let lost = names(catalogue, *lost);
            let message = format!("{key} may not use {} any more.", lost.join(", "));
            HandOverWarning {
                code: "permissions_lost",
                key_id: Some(key.to_string()),
                lost_permissions: lost,
                message,
            }
        });
        let known = (moved.handed_over > 0).then(|| HandOverWarning {
            code: "secret_known",
            key_id: None,
            lost_permissions: Vec::new(),
            message: "Whoever had these keys may still have their secrets: rotate them.".to_owned(),
        });
        let warnings = lost.chain(known).collect();
        Self { stopped: moved.stopped, handed_over: moved.handed_over, warnings }
    }
}

fn names(catalogue: &Catalogue, set: PermissionSet) -> Vec<String> {
    catalogue.names(set).map(str::to_owned).collect()
}
