//! What people choose over what is kept of them: the same whether they do it themselves or the operator does it for them.

use keywright_domain::{
    caps,
    command::{Command, Context},
    ids::UserId,
    permit::Permit,
    privacy::{self, Collection, ConsentName, ConsentTo, PrivacyCommand, Who},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ErasedUser, OwnPrompts};
use crate::{
    actor::Origin,
    error::{ApiError, ErrorCode},
    state::AppState,
    v1::problems,
    wire::{Receipt, Receipted, Time},
};

/// Whether addresses and user agents of what a person does are kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectionChoice {
    /// `false`: neither of the person nor of keys that they created, from the next request on.
    pub(in crate::v1) collect: bool,
}

/// A choice that is in effect.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChosenCollection {
    /// Whether addresses and user agents are kept.
    collect: bool,
    #[serde(flatten)]
    receipt: Receipt,
}

/// A consent on record.
#[derive(Serialize, ToSchema)]
pub(crate) struct Consent {
    /// To what.
    #[schema(example = "terms")]
    name: String,
    /// Which version of the text.
    #[schema(example = "2026-11")]
    version: String,
    /// When it was given.
    given_at: Time,
    /// When it was withdrawn, or given to another version.
    withdrawn_at: Option<Time>,
}

/// A person's record of consents.
#[derive(Serialize, ToSchema)]
pub(crate) struct Consents {
    /// All of them, oldest first.
    data: Vec<Consent>,
}

/// Which version of a text a person consents to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GiveConsent)]
pub(crate) struct ConsentVersion {
    /// The version: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`.
    #[schema(pattern = "^[a-z0-9._-]{1,64}$", example = "2026-11")]
    pub(in crate::v1) version: String,
}

impl From<privacy::Consent> for Consent {
    fn from(consent: privacy::Consent) -> Self {
        Self {
            name: consent.to.name.as_str().to_owned(),
            version: consent.to.version.as_str().to_owned(),
            given_at: Time(consent.given_at),
            withdrawn_at: consent.withdrawn_at.map(Time),
        }
    }
}

/// Sets whether addresses and user agents of a person are kept.
pub(in crate::v1) async fn choose(
    state: &AppState,
    origin: &Origin,
    context: Context,
    user: UserId,
    choice: &CollectionChoice,
) -> Result<Receipted<ChosenCollection>, ApiError> {
    let collect = choice.collect;
    let collection = if collect { Collection::Kept } else { Collection::OptedOut };
    let command = Command::Privacy(PrivacyCommand::SetCollection { user, collection });
    let done = state.commit(origin, context, command).await?;
    Ok(Receipted::new(done.receipt, |receipt| ChosenCollection { collect, receipt }))
}

/// A person's record of consents.
pub(in crate::v1) async fn consents(state: &AppState, user: UserId) -> Result<Consents, ApiError> {
    let person = state.store.person(Who::Id(user)).await.map_err(problems::of_store)?;
    person.ok_or(ErrorCode::NotFound)?;
    let data = state.store.consents(user).await.map_err(problems::of_store)?;
    Ok(Consents { data: data.into_iter().map(Consent::from).collect() })
}

/// Records that a person consents.
pub(in crate::v1) async fn give(
    state: &AppState,
    origin: &Origin,
    context: Context,
    user: UserId,
    (name, version): (&str, &str),
) -> Result<Consents, ApiError> {
    let parse = |field: &str, text: &str| {
        ConsentName::parse(text).map_err(|error| ApiError::invalid_field(field, error.to_string()))
    };
    let consent = ConsentTo { name: parse("name", name)?, version: parse("version", version)? };
    let command = Command::Privacy(PrivacyCommand::GiveConsent { user, consent });
    state.commit(origin, context, command).await?;
    consents(state, user).await
}

/// Records that a person does not consent any more.
pub(in crate::v1) async fn withdraw(
    state: &AppState,
    origin: &Origin,
    context: Context,
    user: UserId,
    name: &str,
) -> Result<Consents, ApiError> {
    let name = ConsentName::parse(name).map_err(|_| ErrorCode::NotFound)?;
    let command = Command::Privacy(PrivacyCommand::WithdrawConsent { user, name });
    state.commit(origin, context, command).await?;
    consents(state, user).await
}

/// Erases a person, and first, some at a time, the prompts that are theirs alone. Whoever is interrupted asks again: what was
/// done stays done. The receipt of the last step holds for all.
pub(in crate::v1) async fn erase(
    state: &AppState,
    origin: &Origin,
    permit: Permit,
    user: UserId,
    prompts: OwnPrompts,
) -> Result<Receipted<ErasedUser>, ApiError> {
    let mut prompts_deleted = 0;
    if prompts == OwnPrompts::Delete {
        let limit = caps::ERASE_PROMPTS_PER_STEP;
        loop {
            let step = Command::Privacy(PrivacyCommand::ErasePrompts { user, limit });
            let carried = state.carry_out(origin.context(state, permit, None), step).await?;
            let deleted = carried.prompts_erased()?;
            prompts_deleted += deleted;
            if deleted < u64::from(limit) {
                break;
            }
        }
    }
    let context = origin.context(state, permit, None);
    let done = state.commit(origin, context, Command::Privacy(PrivacyCommand::Erase { user })).await?;
    let (receipt, memberships_ended) = (done.receipt.clone(), done.erased()?);
    let id = user.to_string();
    Ok(Receipted::new(receipt, |receipt| ErasedUser { id, memberships_ended, prompts_deleted, receipt }))
}
