//! `keywright apply` and `keywright export`: an installation as a file, so that it can live in git.

mod diff;
mod export;
mod file;
mod people;
mod present;
mod secrets;
mod wanted;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

pub(crate) use self::export::Export;
use self::{
    diff::{Action, Field, Phase, PresentKeys, Prune, Step},
    file::{Wanted, Workspace},
    present::Present,
    secrets::Secrets,
};
use super::{
    connection::{Call, Connection, fresh_idempotency_key},
    console::Console,
    follow::{progress, waiting},
    session::{Form, Session},
    table,
};
use crate::failure::{Exit, Failure};

/// Make the installation what a file says
///
/// The file (TOML) names permissions, plans, workspaces with their policies and, if you like, members, service accounts, and keys
/// without their secrets.
/// What it does not name is left alone, unless --prune is given. First the differences are shown; then you are asked;
/// then they are carried out over the ordinary API, what others build on first and what takes something away last, with a
/// receipt. Doing it again changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright export > installation.toml             what there is, as a file
  keywright apply -f installation.toml --dry-run   what would change; exit code 0: nothing, 2: something
  keywright apply -f installation.toml             show it, ask, do it
  keywright apply -f conf/ --yes --secrets new-keys.json

A file:
  [plans.gold]
  key_limits = [\"minute=5000/60s\"]

  [workspaces.acme]
  plan = \"gold\"
  policy = { max_key_days = 365, rotation = { production = \"90d\" }, rotation_mode = \"enforce\" }

  [workspaces.acme.keys.web]
  environment = \"production\"
  permissions = [\"prompts:read\"]")]
pub(crate) struct Apply {
    #[command(flatten)]
    connection: Connection,
    /// File, directory of *.toml, or - for standard input
    #[arg(long, short = 'f', value_name = "FILE|DIR|-")]
    file: PathBuf,
    /// Show what would change and do nothing; exit code 2 if anything would
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; needed where nobody can be asked, as in scripts
    #[arg(long, short = 'y')]
    yes: bool,
    /// Remove plans and workspaces that the file does not name, and keys, members and service accounts in workspaces of which it
    /// names some
    #[arg(long)]
    prune: bool,
    /// New file (mode 0600) for the secrets of keys that are created; without it they are printed
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

impl Apply {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        let wanted = file::read(&self.file, |limit| console.read_input(limit))?;
        let mut session = Session::open(&self.connection, console)?;
        let prune = if self.prune { Prune::Yes } else { Prune::No };
        let (steps, accounts) = plan(&session, &wanted, prune)?;
        if steps.is_empty() {
            show(&mut session, &steps, &[])?;
            return session.console.finish();
        }
        if self.dry_run {
            show(&mut session, &steps, &[])?;
            session.console.finish()?;
            // Not a failure: what a script asks for.
            return Err(Failure::silent(Exit::Arguments));
        }
        if session.form == Form::People {
            show(&mut session, &steps, &[])?;
        }
        self.confirm(&mut session)?;
        let mut secrets = Secrets::open(self.secrets.as_deref())?;
        let done = carry_out(&mut session, &steps, accounts, &mut secrets)?;
        finish(&mut session, &steps, &done, secrets)?;
        session.console.finish()
    }

    fn confirm(&self, session: &mut Session) -> Result<(), Failure> {
        let confirmation = super::confirm::Confirmation { yes: self.yes, dry_run: false };
        confirmation.require(&mut session.console, "These changes are made now.")
    }
}

/// The steps from what there is to what is wanted.
fn plan(session: &Session, wanted: &Wanted, prune: Prune) -> Result<(Vec<Step>, AccountIds), Failure> {
    let mut present = Present::read(&session.client)?;
    let mut keys = PresentKeys::new();
    for (slug, workspace) in &wanted.workspaces {
        let slug_now = present.workspace(slug).map(|found| present::text(found, "slug"));
        let Some(slug_now) = slug_now else { continue };
        if asks_about_people(workspace) {
            present.read_people(&session.client, slug, &slug_now)?;
        }
        if let Some(named) = &workspace.keys {
            let of_workspace = present::keys(&session.client, &slug_now, |name| named.contains_key(name))?;
            keys.insert(slug.clone(), of_workspace);
        }
    }
    let steps = diff::steps(wanted, &present, &keys, prune)?;
    let known = present.service_accounts.iter().flat_map(|(slug, accounts)| {
        accounts
            .iter()
            .map(move |(identity, account)| ((slug.clone(), identity.clone()), present::text(account, "id")))
    });
    Ok((steps, known.collect()))
}

/// Whether the file says anything about members, service accounts, or whose a key is.
fn asks_about_people(workspace: &Workspace) -> bool {
    let names_owners = workspace.keys.iter().flatten().any(|(_, key)| key.service_account.is_some());
    workspace.members.is_some() || workspace.service_accounts.is_some() || names_owners
}

/// The ids of service accounts by workspace and identity.
type AccountIds = BTreeMap<(String, String), String>;

/// Carries the steps out; the answers, as far as they go over the wire. The first refusal ends it.
fn carry_out(
    session: &mut Session,
    steps: &[Step],
    mut accounts: AccountIds,
    secrets: &mut Secrets,
) -> Result<Vec<Value>, Failure> {
    let mut answers = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let answer = call(session, step, &mut accounts, secrets);
        match answer {
            Ok(answer) => answers.push(answer),
            Err(failure) => {
                let done = format!("{number} of {} changes were made before {}.", steps.len(), step.what);
                session.console.note(&done);
                let again = "Look at what is wrong and apply the file again: what is done is not done twice.";
                session.console.note(again);
                // Secrets that were issued before are shown once only.
                secrets.show(session)?;
                return Err(failure);
            }
        }
        if session.form == Form::People {
            let line = format!("{} {}{}", step.action.sign(), step.what, receipt(&answers[number]));
            session.console.note(&line);
        }
    }
    Ok(answers)
}

fn call(
    session: &mut Session,
    step: &Step,
    accounts: &mut AccountIds,
    secrets: &mut Secrets,
) -> Result<Value, Failure> {
    let once = (step.phase == Phase::NewKeys).then(fresh_idempotency_key);
    let body = body_with_account(step, accounts)?;
    let mut answer = session.client.send(&Call {
        method: step.change.method.clone(),
        path: step.change.path.clone(),
        body: body.as_ref(),
        idempotency_key: once.as_deref(),
    })?;
    if step.phase == Phase::NewAccounts {
        let slug = workspace_in(&step.change.path);
        accounts.insert((slug, present::text(&answer, "email")), present::text(&answer, "id"));
    }
    match &step.issues {
        Some((workspace, email)) if step.phase == Phase::Invitations => {
            secrets.keep_link(workspace, email, &mut answer)?;
        }
        Some((workspace, name)) => secrets.keep(workspace, name, &mut answer)?,
        None => session.client.follow(&mut answer, |line| session.console.note(line))?,
    }
    if step.turns_off {
        let id = present::text(answer.get("key").unwrap_or(&answer), "id");
        post(session, &format!("{}/{id}/disable", step.change.path))?;
    }
    Ok(answer)
}

/// Posts nothing to `place`, and follows it until it is in force.
fn post(session: &mut Session, place: &str) -> Result<(), Failure> {
    let (method, body) = (ureq::http::Method::POST, json!({}));
    let call = Call { method, path: place.to_owned(), body: Some(&body), idempotency_key: None };
    let mut answer = session.client.send(&call)?;
    session.client.follow(&mut answer, |line| session.console.note(line))
}

/// The body of a step, with the id of the service account that it names.
fn body_with_account(step: &Step, accounts: &AccountIds) -> Result<Option<Value>, Failure> {
    let mut body = step.change.body.clone();
    if let (Some((member, slug, identity)), Some(body)) = (&step.account, &mut body) {
        let id = accounts.get(&(slug.clone(), identity.clone())).ok_or_else(|| {
            let text = format!("{}: workspace {slug} has no service account {identity}", step.what);
            Failure::new(Exit::Negative, text).remedy("Name it in the file, under service_accounts.")
        })?;
        body[*member] = json!(id);
    }
    Ok(body)
}

/// The workspace in the path of a call.
fn workspace_in(place: &str) -> String {
    place.split('/').nth(3).unwrap_or_default().to_owned()
}

fn receipt(answer: &Value) -> String {
    if let Some(operation) = waiting(answer) {
        return format!("  ({})", progress(operation));
    }
    let Some(effective) = answer.get("effective") else { return String::new() };
    let member = |name: &str| effective.get(name).map_or_else(|| "?".to_owned(), table::text);
    format!("  (in force on {} node(s) after {} ms)", member("nodes"), member("waited_ms"))
}

fn finish(
    session: &mut Session,
    steps: &[Step],
    done: &[Value],
    mut secrets: Secrets,
) -> Result<(), Failure> {
    if session.form == Form::Json {
        let shown = secrets.take_shown();
        return show_json(session, steps, done, &shown);
    }
    secrets.show(session)?;
    session.console.answer(&format!("Done: {}.", summary(steps)))
}

/// Shows the steps. `done` are their answers, if they were carried out.
fn show(session: &mut Session, steps: &[Step], done: &[Value]) -> Result<(), Failure> {
    if session.form == Form::Json {
        return show_json(session, steps, done, &[]);
    }
    for step in steps {
        session.console.answer(&format!("{} {}", step.action.sign(), step.what))?;
        for Field { name, before, after } in &step.fields {
            let line = format!("    {name}: {} -> {}", shown(before), shown(after));
            session.console.answer(&line)?;
        }
    }
    session.console.answer(&match steps {
        [] => "Nothing to change: the installation is what the file says.".to_owned(),
        steps => format!("{}.", summary(steps)),
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) if value.get("days").or_else(|| value.get("months")).is_some() => {
            super::values::period_text(value)
        }
        other => table::text(other),
    }
}

fn summary(steps: &[Step]) -> String {
    let count = |action| steps.iter().filter(|step| step.action == action).count();
    format!(
        "{} to add, {} to change, {} to remove",
        count(Action::Add),
        count(Action::Change),
        count(Action::Remove)
    )
}

fn show_json(
    session: &mut Session,
    steps: &[Step],
    done: &[Value],
    secrets: &[Value],
) -> Result<(), Failure> {
    let changes: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(number, step)| {
            let fields: Vec<Value> = step
                .fields
                .iter()
                .map(|field| json!({"field": field.name, "before": field.before, "after": field.after}))
                .collect();
            let effective = done.get(number).and_then(|answer| answer.get("effective"));
            json!({"action": step.action.as_str(), "what": step.what, "fields": fields, "effective": effective})
        })
        .collect();
    let applied = !done.is_empty();
    session.console.answer_json(&json!({"applied": applied, "changes": changes, "secrets": secrets}))
}
