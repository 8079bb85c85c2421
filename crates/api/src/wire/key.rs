//! Keys.

use std::collections::HashMap;

use keywright_domain::{
    key::{self, ApiKey, KeyNumber},
    permission::Catalogue,
    principal,
    query::LastUsed,
    time::Timestamp,
    workspace::Workspace,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Environment, KeyStatus, LimitWindow, Mode, Time, networks::show_network};
use crate::{error::ApiError, state::AppState, v1::problems};

/// Who created something.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Principal {
    /// `user`, `service_account` or `operator`.
    #[serde(rename = "type")]
    #[schema(example = "user")]
    pub kind: &'static str,
    /// The id.
    #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
}

impl From<principal::Principal> for Principal {
    fn from(principal: principal::Principal) -> Self {
        Self { kind: principal.kind(), id: principal.id_text() }
    }
}

/// A secret of a key, as far as it may be shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeySecret {
    /// The id.
    #[schema(example = "sec_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// Prefix, locator and the last four characters.
    #[schema(example = "sk_live_aB3dE6gH9kLm…wXyZ")]
    pub hint: String,
    /// When it was issued.
    pub created_at: Time,
    /// When its overlap with a newer secret ends, if one runs.
    pub expires_at: Option<Time>,
    /// When it was last used, if ever.
    pub last_used_at: Option<Time>,
}

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    /// The id; never changes.
    #[schema(example = "key_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The workspace's slug.
    #[schema(example = "acme")]
    pub workspace: String,
    /// The name.
    #[schema(example = "production-web-app")]
    pub name: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// The environment; never changes.
    pub environment: Environment,
    /// Which resources it opens.
    pub mode: Mode,
    /// What it is good for now.
    pub status: KeyStatus,
    /// What it may do at most.
    #[schema(example = json!(["prompts:read"]))]
    pub permissions: Vec<String>,
    /// What it may do now: its permissions, its creator's and the workspace's policy taken together.
    #[schema(example = json!(["prompts:read"]))]
    pub effective_permissions: Vec<String>,
    /// Who created it.
    pub created_by: Principal,
    /// Whether its creator may act. If not, because the membership ended or the service account is disabled, no node
    /// accepts the key, whatever its status: hand it over, or enable the service account.
    #[schema(example = true)]
    pub creator_active: bool,
    /// When it was created.
    pub created_at: Time,
    /// When it expires, if ever.
    pub expires_at: Option<Time>,
    /// From when on it is refused because its time is over, if that will be so: the earliest of `expires_at`, the longest
    /// life that the workspace's policy allows, and the day of an enforced rotation.
    pub effective_expires_at: Option<Time>,
    /// When the workspace's policy wants it rotated, if it does.
    pub rotation_due_at: Option<Time>,
    /// When it was last used, if ever.
    pub last_used_at: Option<Time>,
    /// Whether it works and counts as idle by the workspace's policy (`idle_days`).
    pub idle: bool,
    /// Windows of its own; `null` when those of the plan apply.
    pub limits: Option<Vec<LimitWindow>>,
    /// Addresses and networks it may be used from; empty means any.
    #[schema(example = json!(["203.0.113.0/24"]))]
    pub allowed_ips: Vec<String>,
    /// The operator's own name for the customer.
    #[schema(example = "cust_42")]
    pub external_id: Option<String>,
    /// Whatever its owner wants to keep with it.
    #[schema(value_type = Object, example = json!({"team": "web"}))]
    pub metadata: Box<RawValue>,
    /// Its secrets that still work: one, or two while a rotation overlaps.
    pub secrets: Vec<KeySecret>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Time>,
    /// Why it was revoked, if a reason was given.
    pub revoked_reason: Option<String>,
}

/// When keys and their secrets were last used.
#[derive(Default)]
pub(crate) struct LastUses(HashMap<KeyNumber, Vec<LastUsed>>);

impl LastUses {
    /// Asks the store about these keys.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn of(state: &AppState, keys: &[ApiKey]) -> Result<Self, ApiError> {
        if keys.is_empty() {
            return Ok(Self::default());
        }
        let numbers: Vec<KeyNumber> = keys.iter().map(|key| key.number).collect();
        let mut uses = state.store.last_used(numbers.clone()).await.map_err(problems::of_store)?;
        for number in numbers {
            // What was counted since the last flush, the engine knows.
            uses.entry(number).or_default().extend(state.plane.last_used(number));
        }
        Ok(Self(uses))
    }

    /// What the store said about one key.
    pub(crate) fn with(state: &AppState, key: KeyNumber, mut uses: Vec<LastUsed>) -> Self {
        uses.extend(state.plane.last_used(key));
        Self(HashMap::from([(key, uses)]))
    }

    /// When the key was last used.
    pub(crate) fn key(&self, key: KeyNumber) -> Option<Time> {
        self.0.get(&key)?.iter().map(|used| used.at).max().map(Time)
    }

    fn secret(&self, key: KeyNumber, ordinal: u16) -> Option<Time> {
        let uses = self.0.get(&key)?.iter();
        uses.filter(|used| used.secret_ordinal == ordinal).map(|used| used.at).max().map(Time)
    }
}

/// What is needed to show the keys of one workspace.
pub(crate) struct KeyTexts<'a> {
    /// The state.
    pub(crate) state: &'a AppState,
    /// The workspace.
    pub(crate) workspace: &'a Workspace,
    /// When they were used.
    pub(crate) last_uses: &'a LastUses,
    /// The moment.
    pub(crate) now: Timestamp,
}

impl KeyTexts<'_> {
    /// The key as it goes over the wire.
    pub(crate) fn show(&self, key: ApiKey) -> Key {
        let catalogue = self.state.plane.catalogue();
        let effective = key
            .permissions
            .intersection(self.state.plane.creator_permissions(&key.created_by))
            .intersection(self.workspace.policy.allowed_permissions);
        Key {
            id: key.id.to_string(),
            workspace: self.workspace.slug.as_str().to_owned(),
            environment: key.environment.into(),
            mode: key.environment.mode().into(),
            status: key.status_in(self.workspace, self.now).into(),
            idle: self.is_idle(&key),
            permissions: names(&catalogue, key.permissions),
            effective_permissions: names(&catalogue, effective),
            creator_active: self.state.plane.is_creator_active(&key.created_by),
            created_by: key.created_by.principal.into(),
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Time),
            effective_expires_at: key.ends_at(self.workspace).map(Time),
            rotation_due_at: key.rotation_due_at(self.workspace).map(Time),
            last_used_at: self.last_uses.key(key.number),
            limits: key.limits.as_ref().map(|windows| windows.iter().map(LimitWindow::from).collect()),
            allowed_ips: key.networks.iter().map(show_network).collect(),
            secrets: self.secrets(&key),
            revoked_at: key.revoked.as_ref().map(|revoked| Time(revoked.at)),
            revoked_reason: key.revoked.and_then(|revoked| revoked.reason),
            metadata: RawValue::from_string(key.metadata).unwrap_or_else(|_| empty_object()),
            external_id: key.external_id,
            name: key.name,
            purpose: key.purpose,
        }
    }

    /// Whether the key counts as idle, with all that is known of its use.
    pub(crate) fn is_idle(&self, key: &ApiKey) -> bool {
        let last_used = self.last_uses.key(key.number).map(|at| at.0);
        key.is_idle(self.workspace, last_used, self.now)
    }

    fn secrets(&self, key: &ApiKey) -> Vec<KeySecret> {
        let secrets = key.live_secrets(self.now).map(|secret| KeySecret {
            id: secret.id.to_string(),
            hint: secret.hint.clone(),
            created_at: secret.created_at.into(),
            expires_at: secret.expires_at.map(Time),
            last_used_at: self.last_uses.secret(key.number, secret.ordinal),
        });
        secrets.collect()
    }
}

fn names(catalogue: &Catalogue, set: keywright_domain::permission::PermissionSet) -> Vec<String> {
    catalogue.names(set).map(str::to_owned).collect()
}

fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

/// A key was reported as compromised.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Incident {
    /// The id.
    #[schema(example = "inc_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The key's id.
    #[schema(example = "key_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub key_id: String,
    /// The reason given.
    pub reason: Option<String>,
    /// When it was opened.
    pub opened_at: Time,
}

impl From<key::Incident> for Incident {
    fn from(incident: key::Incident) -> Self {
        Self {
            id: incident.id.to_string(),
            key_id: incident.key.to_string(),
            reason: incident.reason,
            opened_at: incident.opened_at.into(),
        }
    }
}
