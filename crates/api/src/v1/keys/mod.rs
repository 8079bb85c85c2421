//! API keys.

mod bulk_revoke;
mod compromise;
mod create;
mod delete;
mod disable;
mod enable;
mod fields;
mod get;
mod hand_over;
mod hand_over_all;
mod list;
mod lookup;
mod patch;
mod revoke;
mod rotate;
mod rotate_cancel;
mod rotate_complete;

use keywright_domain::{
    command::{self, Command},
    key::{Incident, KeyChange},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    actor::{Place, WriteKeys},
    commit,
    error::ApiError,
    state::AppState,
    wire::{Key, KeyTexts, LastUses, Receipt, Receipted},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler, create::handler))
        .routes(routes!(get::handler, patch::handler, delete::handler))
        .routes(routes!(bulk_revoke::handler))
        .routes(routes!(hand_over_all::handler))
        .routes(routes!(hand_over::handler))
        .routes(routes!(rotate::handler))
        .routes(routes!(rotate_complete::handler))
        .routes(routes!(rotate_cancel::handler))
        .routes(routes!(disable::handler))
        .routes(routes!(enable::handler))
        .routes(routes!(revoke::handler))
        .routes(routes!(compromise::handler))
        .routes(routes!(lookup::handler))
}

/// A key after a change, with the receipt.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedKey {
    /// The key as it is now.
    key: Key,
    #[serde(flatten)]
    receipt: Receipt,
}

/// A key after a change.
struct Changed {
    key: Key,
    incident: Option<Incident>,
    receipt: commit::Receipt,
}

impl From<Changed> for Receipted<ChangedKey> {
    fn from(Changed { key, receipt, .. }: Changed) -> Self {
        Self::new(receipt, |receipt| ChangedKey { key, receipt })
    }
}

/// Carries out `change` on the key that the path names, as far as the domain allows it. `body` is the request's, for
/// recognising repeats.
///
/// The store says with the commit what the answer shows. So no answer says "failed" about a change that was made, and a
/// change takes no more than its commit.
async fn change(
    state: &AppState,
    place: &Place<WriteKeys>,
    change: KeyChange,
    body: &[u8],
) -> Result<Changed, ApiError> {
    let key = place.key_id()?;
    let origin = &place.caller.origin;
    let context = origin.context(state, place.permit, origin.idempotency(&place.caller.actor, body));
    let done = state.commit(origin, context, Command::ChangeKey { key, change }).await?;
    let receipt = done.receipt.clone();
    let command::ChangedKey { key, incident, workspace, last_uses } = done.changed_key()?;
    let last_uses = LastUses::with(state, key.number, last_uses);
    let texts = KeyTexts { state, workspace: &workspace, last_uses: &last_uses, now: origin.now };
    Ok(Changed { key: texts.show(key), incident, receipt })
}
