//! The secrets of keys that were created, and links of invitations: written to a file of their own as they come, or shown once in the end.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{super::session::Session, present::text};
use crate::{
    failure::{Exit, Failure},
    installation::create_private,
};

/// Where secrets go.
pub(super) struct Secrets {
    file: Option<(PathBuf, File)>,
    /// What is shown in the end, if there is no file.
    shown: Vec<Issued>,
    written: usize,
}

struct Issued {
    workspace: String,
    name: String,
    id: String,
    secret: Zeroizing<String>,
}

impl Secrets {
    /// Makes the file before anything is issued; one that is there is never written over.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(place: Option<&Path>) -> Result<Self, Failure> {
        let file = place.map(|place| {
            let opened = create_private(place);
            opened.map(|file| (place.to_owned(), file)).map_err(|error| {
                Failure::new(Exit::Negative, format!("cannot make {} for secrets: {error}", place.display()))
            })
        });
        Ok(Self { file: file.transpose()?, shown: Vec::new(), written: 0 })
    }

    /// Takes the secret out of the answer that issued it. When this returns, it is on the disk or will be shown.
    ///
    /// # Errors
    /// When the file cannot be written; the secret is lost then, and the key can be rotated.
    pub(super) fn keep(&mut self, workspace: &str, name: &str, answer: &mut Value) -> Result<(), Failure> {
        let id = answer.pointer("/key/id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(Value::String(secret)) = answer.get_mut("secret").map(Value::take) else { return Ok(()) };
        let issued = Issued {
            workspace: workspace.to_owned(),
            name: name.to_owned(),
            id,
            secret: Zeroizing::new(secret),
        };
        let remedy = format!("The key exists. For a new secret: keywright keys rotate {}", issued.id);
        self.hand_over(issued, remedy)
    }

    /// Takes the link of an invitation out of the answer that made it, if it did not go out by e-mail.
    ///
    /// # Errors
    /// When the file cannot be written; the link is lost then, and the invitation can be sent again.
    pub(super) fn keep_link(
        &mut self,
        workspace: &str,
        email: &str,
        answer: &mut Value,
    ) -> Result<(), Failure> {
        let place = if answer.get("data").is_some() { "/data/0" } else { "" };
        let Some(invitation) = answer.pointer_mut(place) else { return Ok(()) };
        let id = text(invitation, "id");
        let Some(Value::String(link)) = invitation.get_mut("link").map(Value::take) else { return Ok(()) };
        let remedy = format!("For a new link: keywright invitations resend {id}");
        let (workspace, name, secret) = (workspace.to_owned(), email.to_owned(), Zeroizing::new(link));
        self.hand_over(Issued { workspace, name, id, secret }, remedy)
    }

    fn hand_over(&mut self, issued: Issued, remedy: String) -> Result<(), Failure> {
        let Some((place, file)) = &mut self.file else {
            self.shown.push(issued);
            return Ok(());
        };
        let line = Zeroizing::new(format!("{}\n", issued.to_json()));
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(|error| {
            Failure::new(Exit::Negative, format!("cannot write a secret to {}: {error}", place.display()))
                .remedy(remedy)
        })?;
        self.written += 1;
        Ok(())
    }

    /// Shows what is to be shown, once.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(super) fn show(&mut self, session: &mut Session) -> Result<(), Failure> {
        for issued in self.shown.drain(..) {
            let line =
                format!("{}/{}\t{}\t{}", issued.workspace, issued.name, issued.id, issued.secret.as_str());
            session.console.answer(&line)?;
        }
        if let Some((place, _)) = self.file.as_ref().filter(|_| self.written > 0) {
            let text = format!("{} secret(s) were written to {}.", self.written, place.display());
            session.console.note(&text);
            self.written = 0;
        }
        Ok(())
    }

    /// What is to be shown, as JSON.
    pub(super) fn take_shown(&mut self) -> Vec<Value> {
        self.shown.drain(..).map(|issued| issued.to_json()).collect()
    }
}

impl Issued {
    fn to_json(&self) -> Value {
        json!({"workspace": self.workspace, "name": self.name, "id": self.id, "secret": self.secret.as_str()})
    }
}
