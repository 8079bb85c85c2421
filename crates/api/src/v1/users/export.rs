//! `GET /v1/users/{id}/export`

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use keywright_domain::{
    audit::{AuditBody, StoredEntry},
    command::Command,
    ids::UserId,
    permit::Permit,
    principal::{Membership, Principal, User},
    privacy::{PrivacyCommand, Who},
    query::{KeyFilter, KeyQuery},
    workspace::Slug,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{archive, rights::Consent};
use crate::{
    actor::{Installation, Origin},
    caps,
    edge::{StrictPath, accepts},
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems,
    wire::{AuditEntry, Session, Time, UserPath},
};

/// Entries that are read at once.
const PIECE: u32 = 1_000;
/// Keys that are read at once.
const KEYS_PIECE: u32 = 100;

/// Who a person is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Profile {
    /// The id.
    id: String,
    /// The address that they sign in with.
    email: String,
    /// Their name.
    name: String,
    /// When the account was made.
    created_at: Time,
    /// Whether a password is set.
    has_password: bool,
}

/// Where a person is a member.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportedMembership {
    /// The workspace's slug.
    workspace: String,
    /// The role.
    #[schema(example = "admin")]
    role: String,
    /// Since when.
    created_at: Time,
}

/// A key that a person created.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportedKey {
    /// The id.
    id: String,
    /// The workspace's slug.
    workspace: String,
    /// The name.
    name: String,
    /// When it was created.
    created_at: Time,
    /// When it was last used.
    last_used_at: Option<Time>,
}

/// What the audit trail says.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportedTrail {
    /// Entries by the person, by their keys, and about them, oldest first.
    entries: Vec<AuditEntry>,
    /// Whether there are more than one export may have.
    truncated: bool,
}

/// Everything that is kept of a person.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserExport {
    /// The form of this document.
    #[schema(example = "keywright.user-export.v1")]
    format: &'static str,
    /// When it was made.
    exported_at: Time,
    /// Who they are.
    profile: Profile,
    /// Where they are a member.
    memberships: Vec<ExportedMembership>,
    /// Keys that they created there.
    keys: Vec<ExportedKey>,
    /// Whether addresses and user agents are kept.
    collection: ExportedCollection,
    /// What they consented to.
    consents: Vec<Consent>,
    /// Where they are signed in.
    sessions: Vec<Session>,
    /// What they did, and what was done to them.
    audit: ExportedTrail,
}

/// What a person chose.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportedCollection {
    /// Since when addresses and user agents are not kept; `null`: they are.
    opted_out_since: Option<Time>,
}

problems! {}

/// Export what is kept of a person
///
/// Operator only. Profile, memberships, keys that they created, what they chose and consented to, and audit entries by them and about
/// them, with the addresses and user agents that are still kept. The audit trail tells of the export. One JSON document; with `Accept: application/zip`, an archive with
/// that document and a CSV file for each list in it.
#[utoipa::path(
    get, path = "/v1/users/{id}/export", operation_id = "export_user", tag = "Privacy",
    params(UserPath),
    responses((status = 200, description = "What is kept of the person.", body = UserExport), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    export_as(&state, &caller.origin, permit, id, &headers).await
}

/// Everything that is kept of a person, in the form that the caller asks for. That it was handed over is on record, in what is
/// handed over as well.
pub(in crate::v1) async fn export_as(
    state: &AppState,
    origin: &Origin,
    permit: Permit,
    id: UserId,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let record = Command::Privacy(PrivacyCommand::RecordExport { user: id });
    state.carry_out(origin.context(state, permit, None), record).await?;
    let export = export(state, id).await?;
    if accepts(headers, archive::MEDIA_TYPE) {
        archive::answer(&export)
    } else {
        Ok(Json(export).into_response())
    }
}

/// Everything that is kept of a person.
async fn export(state: &AppState, id: UserId) -> Result<UserExport, ApiError> {
    let user = state.store.person(Who::Id(id)).await.map_err(problems::of_store)?;
    let user = user.ok_or(ErrorCode::NotFound)?;
    let memberships = state.store.memberships_of_person(id).await.map_err(problems::of_store)?;
    let mut keys = Vec::new();
    for (membership, slug) in &memberships {
        keys.append(&mut keys_of(state, id, membership, slug).await?);
    }
    let opted_out_since = state.store.opted_out_since(id).await.map_err(problems::of_store)?.map(Time);
    let consents = state.store.consents(id).await.map_err(problems::of_store)?;
    let sessions = state.store.sessions(id).await.map_err(problems::of_store)?;
    let limits = state.config.session_limits;
    Ok(UserExport {
        format: "keywright.user-export.v1",
        exported_at: Time(state.clock.now()),
        profile: user.into(),
        memberships: memberships
            .iter()
            .map(|(membership, slug)| ExportedMembership::new(membership, slug))
            .collect(),
        keys,
        collection: ExportedCollection { opted_out_since },
        consents: consents.into_iter().map(Consent::from).collect(),
        sessions: sessions.iter().map(|session| Session::new(session, None, limits)).collect(),
        audit: trail_of(state, id).await?,
    })
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            has_password: user.password_hash.is_some(),
            email: user.email,
            name: user.name,
            created_at: Time(user.created_at),
        }
    }
}

impl ExportedMembership {
    /// A membership in the workspace with this slug.
    pub(in crate::v1) fn new(membership: &Membership, slug: &Slug) -> Self {
        Self {
            workspace: slug.as_str().to_owned(),
            role: membership.role.as_str().to_owned(),
            created_at: Time(membership.created_at),
        }
    }
}

/// The keys that a person created in a workspace.
async fn keys_of(
    state: &AppState,
    user: UserId,
    membership: &Membership,
    slug: &Slug,
) -> Result<Vec<ExportedKey>, ApiError> {
    let filter = KeyFilter { created_by: Some(user.to_string()), ..KeyFilter::default() };
    let mut query = KeyQuery {
        workspace: membership.workspace,
        filter,
        now: state.clock.now(),
        after: None,
        limit: KEYS_PIECE,
    };
    let mut all = Vec::new();
    loop {
        let page = state.store.keys(query.clone()).await.map_err(problems::of_store)?;
        let numbers = page.items.iter().map(|key| key.number).collect();
        let last_uses = state.store.last_used(numbers).await.map_err(problems::of_store)?;
        query.after = page.items.last().map(|key| key.id);
        all.extend(page.items.into_iter().map(|key| ExportedKey {
            last_used_at:
                last_uses.get(&key.number).and_then(|uses| uses.iter().map(|used| used.at).max()).map(Time),
            id: key.id.to_string(),
            workspace: slug.as_str().to_owned(),
            name: key.name,
            created_at: Time(key.created_at),
        }));
        if !page.has_more {
            return Ok(all);
        }
    }
}

/// Reads the trail from its beginning: nothing finds entries by who acted.
async fn trail_of(state: &AppState, user: UserId) -> Result<ExportedTrail, ApiError> {
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let piece = state.store.audit_after(after, PIECE).await.map_err(problems::of_store)?;
        let Some(last) = piece.last() else { return Ok(ExportedTrail { entries, truncated: false }) };
        after = last.sequence;
        for entry in piece.into_iter().filter(|entry| concerns(entry, user)) {
            if entries.len() >= caps::EXPORT_ENTRIES_MAX {
                return Ok(ExportedTrail { entries, truncated: true });
            }
            entries.push(entry.try_into()?);
        }
    }
}

/// Whether a person did it, by a key of theirs or by themselves, or it was done to them.
fn concerns(entry: &StoredEntry, user: UserId) -> bool {
    let Ok(body) = serde_json::from_slice::<AuditBody>(&entry.body) else { return false };
    let id = user.to_string();
    body.target.id == id
        || body.actor.id.as_ref() == Some(&id)
        || body.actor.principal == Some(Principal::User(user))
}
