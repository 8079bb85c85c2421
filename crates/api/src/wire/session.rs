//! Sessions of people.

use keywright_domain::{
    account::{self, SessionLimits},
    ids::SessionId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Time;

/// A session of a signed-in user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// The id.
    #[schema(example = "ses_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// How the user signed in: `password`, `password_and_code`, `openid_connect`, `invitation` or `recovery`.
    #[schema(example = "password")]
    pub method: &'static str,
    /// The kind of browser or program.
    #[schema(example = "Firefox on Linux")]
    pub agent: String,
    /// When it began.
    pub created_at: Time,
    /// When it was last used, to the minute.
    pub last_used_at: Time,
    /// When it ends, if it is not used again.
    pub expires_at: Time,
    /// Whether it is the session of this very request.
    pub current: bool,
}

impl Session {
    /// The session, as seen from the session `current`.
    pub(crate) fn new(session: &account::Session, current: Option<SessionId>, limits: SessionLimits) -> Self {
        Self {
            id: session.id.to_string(),
            method: session.method.as_str(),
            agent: session.agent.clone(),
            created_at: session.created_at.into(),
            last_used_at: session.last_seen_at.into(),
            expires_at: session.ends_at(limits).into(),
            current: current == Some(session.id),
        }
    }
}
