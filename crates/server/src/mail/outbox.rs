//! What the letters of the API say.

use async_trait::async_trait;
use keywright_api::outbox::{Letter, LetterKind, Outbox};
use keywright_domain::time::Timestamp;

use super::{
    Text,
    queue::{Letterbox, Posted},
    text::Part,
};

#[async_trait]
impl Outbox for Letterbox {
    async fn send(&self, letter: Letter) {
        let kind = letter.kind.name();
        self.post(Posted { to: letter.to, text: text(letter.kind), kind });
    }
}

fn text(kind: LetterKind) -> Text {
    match kind {
        LetterKind::Invitation { workspace_name, link, expires_at } => Text {
            subject: format!("You are invited to {workspace_name}"),
            parts: vec![
                Part::Say(format!(
                    "You are invited to the workspace {workspace_name}. Accept with this link:"
                )),
                Part::Link(link),
                Part::Say(format!(
                    "It works once, until {}. If you do not know why, do nothing.",
                    day(expires_at)
                )),
            ],
        },
        LetterKind::PasswordRecovery { link, expires_at } => Text {
            subject: "Choose a new password".to_owned(),
            parts: vec![
                Part::Say(
                    "Somebody, you we hope, asked for a new password. Choose it with this link:".to_owned(),
                ),
                Part::Link(link),
                Part::Say(format!(
                    "It works once, until {}. If you did not ask, do nothing: your password stays as it is.",
                    minute(expires_at)
                )),
            ],
        },
        LetterKind::NewSignIn { agent, at } => Text {
            subject: "New sign-in to your account".to_owned(),
            parts: vec![
                Part::Say(format!(
                    "Your account was signed in to at {}, with {}.",
                    minute(at),
                    known(&agent)
                )),
                Part::Say("If it was not you, change your password: that ends all sessions.".to_owned()),
            ],
        },
    }
}

fn known(agent: &str) -> &str {
    if agent.is_empty() { "a program that did not say what it is" } else { agent }
}

/// Such as `2026-11-27`.
fn day(at: Timestamp) -> String {
    at.to_rfc3339()[..10].to_owned()
}

/// Such as `2026-11-27 18:05 UTC`.
fn minute(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    format!("{} {} UTC", &text[..10], &text[11..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_tell_what_to_do_and_until_when() {
        let expires_at = Timestamp::parse_rfc3339("2026-11-27T18:05:00.000Z").unwrap();
        let link = "https://keys.example/invite#kwi_x".to_owned();
        let kind =
            LetterKind::Invitation { workspace_name: "Acme <b>".to_owned(), link: link.clone(), expires_at };
        let invitation = text(kind);
        assert_eq!(invitation.subject, "You are invited to Acme <b>");
        assert!(invitation.plain().contains("until 2026-11-27.") && invitation.plain().contains(&link));
        assert!(invitation.html().contains("Acme &lt;b&gt;"));
        let recovery = text(LetterKind::PasswordRecovery { link: link.clone(), expires_at });
        assert!(recovery.plain().contains("until 2026-11-27 18:05 UTC."));
        let notice = text(LetterKind::NewSignIn { agent: String::new(), at: expires_at });
        assert!(notice.plain().contains("a program that did not say"));
        assert!(!notice.plain().contains("http"), "no link that somebody could forge");
    }
}
