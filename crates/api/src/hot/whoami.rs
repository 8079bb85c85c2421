//! `GET /v1/whoami`: a key's own view of itself, to test whether it works.

use axum::{Json, extract::State};
use keywright_domain::{permit::Actor, workspace::Slug};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::Caller,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems as table,
    wire::{Key, KeyTexts, LastUses},
};

/// Who a credential is.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Whoami {
    /// An API key.
    Key {
        /// The key.
        key: Box<Key>,
    },
    /// A signed-in user.
    User {
        /// The user's id.
        #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
        id: String,
        /// The session's id.
        #[schema(example = "ses_01k9zq3v4w5x6y7z8a9b0c1d2e")]
        session: String,
    },
    /// A credential of the operator.
    Operator {
        /// Its id.
        #[schema(example = "opr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
        id: String,
    },
}

problems! {}

/// Test a credential
///
/// What the credential of this very request is and may do. Needs no permission: any key may look at itself.
#[utoipa::path(
    get, path = "/v1/whoami", operation_id = "whoami", tag = "Verification",
    responses((status = 200, description = "The credential works; this is what it is.", body = Whoami), Problems),
)]
pub(crate) async fn handler(State(state): State<AppState>, caller: Caller) -> Result<Json<Whoami>, ApiError> {
    match caller.actor {
        Actor::Operator(id) => Ok(Json(Whoami::Operator { id: id.to_string() })),
        Actor::Key { key, workspace, .. } => {
            let slug = caller.key.and_then(|hit| state.plane.engine().workspace_slug(hit.workspace));
            let slug = slug.and_then(|slug| Slug::parse(slug).ok()).ok_or(ErrorCode::NotFound)?;
            let place =
                state.store.workspace(slug).await.map_err(table::of_store)?.ok_or(ErrorCode::NotFound)?;
            let key =
                state.store.key(workspace, key).await.map_err(table::of_store)?.ok_or(ErrorCode::NotFound)?;
            let last_uses = LastUses::of(&state, std::slice::from_ref(&key)).await?;
            let now = caller.origin.now;
            let texts = KeyTexts { state: &state, workspace: &place, last_uses: &last_uses, now };
            Ok(Json(Whoami::Key { key: Box::new(texts.show(key)) }))
        }
        Actor::User { user, session, .. } => {
            Ok(Json(Whoami::User { id: user.to_string(), session: session.to_string() }))
        }
        Actor::System => Err(ApiError::internal("the system presented a credential")),
    }
}
