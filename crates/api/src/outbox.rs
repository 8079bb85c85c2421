//! Letters to people: what they say, and the port through which they leave.
//!
//! Without a way to send letters, links are shown once to whoever asked for them: see
//! [`AppState::outbox`](crate::state::AppState::outbox).

use std::fmt;

use async_trait::async_trait;
use keywright_domain::time::Timestamp;

use crate::state::AppState;

/// Takes letters on their way. Whoever is told of a letter has had the change committed before: nothing is promised in a
/// letter that is not so.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes over a letter. That it cannot be delivered is the outbox's to retry, to log and to count; no call fails for it.
    async fn send(&self, letter: Letter);
}

/// A letter to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// The address, as the person gave it.
    pub to: String,
    /// What it says.
    pub kind: LetterKind,
}

/// What a letter says.
#[derive(Clone, PartialEq, Eq)]
pub enum LetterKind {
    /// Somebody is invited to a workspace.
    Invitation {
        /// The workspace's name.
        workspace_name: String,
        /// The one-time link, with its token in the fragment.
        link: String,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A password may be set anew.
    PasswordRecovery {
        /// The one-time link, with its token in the fragment.
        link: String,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// Somebody signed in with a program that was not signed in before.
    NewSignIn {
        /// The kind of browser or program.
        agent: String,
        /// When.
        at: Timestamp,
    },
}

impl LetterKind {
    /// The kind's name, for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "invitation",
            Self::PasswordRecovery { .. } => "password_recovery",
            Self::NewSignIn { .. } => "new_sign_in",
        }
    }
}

/// Says what kind of letter it is, but not to whom, nor the link.
impl fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Letter({})", self.kind.name())
    }
}

/// Sends a link in the letter that `kind` makes of it. Where no letters are sent, the link comes back, to be shown once.
pub(crate) async fn send_link(
    state: &AppState,
    to: String,
    link: String,
    kind: impl FnOnce(String) -> LetterKind,
) -> Option<String> {
    let Some(outbox) = &state.outbox else { return Some(link) };
    outbox.send(Letter { to, kind: kind(link) }).await;
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_shows_neither_the_address_nor_the_link() {
        let link = "https://keys.example/recover#secret".to_owned();
        let kind = LetterKind::PasswordRecovery { link, expires_at: Timestamp::from_unix_ms(0) };
        let letter = Letter { to: "ada@example.com".to_owned(), kind };
        assert_eq!(format!("{letter:?}"), "Letter(password_recovery)");
    }
}
