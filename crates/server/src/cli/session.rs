//! One command against one server: asks before it takes something away, sends, and shows the answer.

use serde_json::{Value, json};
use ureq::http::Method;

use super::{
    confirm::Confirmation,
    connection::{Call, Client, Connection},
    console::Console,
    follow::{progress, waiting},
    table::{self, Column},
};
use crate::failure::Failure;

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Tables and field lists.
    People,
    /// The server's JSON.
    Json,
}

/// A server, and the console that its answers are shown on.
pub(crate) struct Session {
    /// The server.
    pub(crate) client: Client,
    /// Where answers go.
    pub(crate) console: Console,
    /// How they are written.
    pub(crate) form: Form,
}

/// A change that is about to be asked for.
#[derive(Debug)]
pub(crate) struct Change {
    /// The method.
    pub(crate) method: Method,
    /// The path.
    pub(crate) path: String,
    /// The body.
    pub(crate) body: Option<Value>,
    /// The `Idempotency-Key`.
    pub(crate) idempotency_key: Option<String>,
    /// The revision that what is changed must have, as `If-Match`.
    pub(crate) revision: Option<u64>,
}

impl Change {
    /// A POST.
    pub(crate) fn post(path: String, body: Value) -> Self {
        Self { method: Method::POST, path, body: Some(body), idempotency_key: None, revision: None }
    }

    /// A PATCH.
    pub(crate) fn patch(path: String, body: Value) -> Self {
        Self { method: Method::PATCH, path, body: Some(body), idempotency_key: None, revision: None }
    }

    /// A PUT.
    pub(crate) fn put(path: String, body: Value) -> Self {
        Self { method: Method::PUT, path, body: Some(body), idempotency_key: None, revision: None }
    }

    /// A DELETE.
    pub(crate) fn delete(path: String) -> Self {
        Self { method: Method::DELETE, path, body: None, idempotency_key: None, revision: None }
    }

    /// Adds an `Idempotency-Key`.
    #[must_use]
    pub(crate) fn once(mut self, key: String) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Only if what is changed has this revision.
    #[must_use]
    pub(crate) fn only_if(mut self, revision: Option<u64>) -> Self {
        self.revision = revision;
        self
    }
}

impl Session {
    /// Opens a session on the standard streams.
    ///
    /// # Errors
    /// As [`Connection::client`].
    pub(crate) fn open(connection: &Connection, mut console: Console) -> Result<Self, Failure> {
        let client = connection.client(&mut console)?;
        let form = if connection.json { Form::Json } else { Form::People };
        Ok(Self { client, console, form })
    }

    /// Sends a change, after asking `question` if there is one. `None`: a dry run, which was shown.
    ///
    /// # Errors
    /// When it was not confirmed, or the server cannot be reached or refuses.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        confirmation: &Confirmation,
        question: Option<&str>,
    ) -> Result<Option<Value>, Failure> {
        if confirmation.dry_run {
            self.show_request(change)?;
            return Ok(None);
        }
        if let Some(question) = question {
            confirmation.require(&mut self.console, question)?;
        }
        let call = Call {
            method: change.method.clone(),
            path: change.path.clone(),
            body: change.body.as_ref(),
            idempotency_key: change.idempotency_key.as_deref(),
        };
        let mut answer = self.client.send_if(&call, change.revision)?;
        // A secret is shown before anything else can go wrong.
        if !issues_secret(&answer) {
            self.client.follow(&mut answer, |line| self.console.note(line))?;
        }
        Ok(Some(answer))
    }

    fn show_request(&mut self, change: &Change) -> Result<(), Failure> {
        let body = change.body.clone().unwrap_or(Value::Null);
        if self.form == Form::Json {
            let request = json!({
                "dry_run": true, "method": change.method.as_str(), "path": change.path, "body": body,
            });
            return self.console.answer_json(&request);
        }
        self.console.note("dry run: nothing was sent. The request would be:");
        self.console.answer(&format!("{} {}", change.method, change.path))?;
        if !body.is_null() {
            self.console.answer_json(&body)?;
        }
        Ok(())
    }

    /// Shows one object.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn show(&mut self, object: &Value, first: &[&str]) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.console.answer_json(object),
            Form::People => self.console.answer(&table::fields(object, first)),
        }
    }

    /// Shows a list: `data`, or the answer itself where it is an array.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn show_list(
        &mut self,
        answer: &Value,
        columns: &[Column],
        nothing: &str,
    ) -> Result<(), Failure> {
        if self.form == Form::Json {
            return self.console.answer_json(answer);
        }
        let rows = answer.get("data").unwrap_or(answer).as_array().cloned().unwrap_or_default();
        if rows.is_empty() {
            self.console.note(nothing);
            return Ok(());
        }
        self.console.answer(&table::table(columns, &rows))?;
        if let Some(cursor) = answer.get("cursor").and_then(Value::as_str) {
            self.console.note(&format!("There are more: add --cursor {cursor}, or --all."));
        }
        Ok(())
    }

    /// Shows the answer to a change that issued a secret: the secret alone on standard output, the rest beside it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn show_secret(&mut self, answer: &Value, what: &str) -> Result<(), Failure> {
        self.warnings(answer);
        if self.form == Form::Json {
            self.console.answer_json(answer)?;
        } else {
            self.console.note(what);
            if let Some(secret) = answer.get("secret").and_then(Value::as_str) {
                self.console.answer(secret)?;
            }
        }
        self.console.finish()?;
        self.console.note("The secret is shown once and cannot be retrieved: store it now.");
        if waiting(answer).is_some() {
            let mut answer = answer.clone();
            self.client.follow(&mut answer, |line| self.console.note(line))?;
            self.console.note(receipt(&answer).trim_start());
        }
        Ok(())
    }

    /// Shows what a change did, in a sentence, with the receipt of calls that take something away.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn show_done(&mut self, answer: &Value, done: &str) -> Result<(), Failure> {
        self.warnings(answer);
        if self.form == Form::Json {
            return self.console.answer_json(answer);
        }
        self.console.answer(&format!("{done}{}", receipt(answer)))
    }

    fn warnings(&mut self, answer: &Value) {
        for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            let text = warning.get("message").or_else(|| warning.get("detail")).unwrap_or(warning);
            self.console.note(&format!("warning: {}", table::text(text)));
        }
    }
}

fn issues_secret(answer: &Value) -> bool {
    answer.get("secret").is_some_and(Value::is_string)
}

/// How far a change is, with a space before it; nothing if the answer does not tell.
fn receipt(answer: &Value) -> String {
    if let Some(operation) = waiting(answer) {
        return format!(" {}", progress(operation));
    }
    answer.get("effective").map_or_else(String::new, |effective| {
        let member = |name: &str| effective.get(name).map_or_else(|| "?".to_owned(), table::text);
        format!(" In force on {} node(s) after {} ms.", member("nodes"), member("waited_ms"))
    })
}
