//! Links with which a password is set once.

use keywright_domain::{
    account::{AccountOutcome, CredentialCommand},
    command::Command,
    permit::Permit,
    principal::User,
    time::Timestamp,
};

use crate::{
    actor::Origin,
    commit::unexpected,
    error::ApiError,
    one_time::{OneTimeToken, Purpose},
    outbox::{LetterKind, send_link},
    sign_in::account_outcome,
    state::AppState,
};

/// A link that was made just now.
pub(crate) struct Made {
    /// When it ends.
    pub(crate) expires_at: Timestamp,
    /// The link, if it did not go out by letter.
    pub(crate) undelivered: Option<String>,
}

/// Makes a link with which `person` sets a password, and sends it to them; one made before is not good any more.
///
/// # Errors
/// The domain's refusal.
pub(crate) async fn make_link(
    state: &AppState,
    origin: &Origin,
    permit: Permit,
    person: User,
) -> Result<Made, ApiError> {
    let token = OneTimeToken::generate(Purpose::Recovery, &*state.entropy);
    let command = CredentialCommand::StartRecovery { user: person.id, digest: token.digest() };
    let outcome = account_outcome(state, origin, permit, Command::Credential(command)).await?;
    let AccountOutcome::LinkUntil(expires_at) = outcome else { return Err(unexpected()) };
    let letter = |link| LetterKind::PasswordRecovery { link, expires_at };
    let undelivered = send_link(state, person.email, token.link(&state.config.base_url), letter).await;
    Ok(Made { expires_at, undelivered })
}
