//! `keywright prompts import`.

use std::{collections::HashMap, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{
    super::{super::session::Form, Scope},
    disk,
    plan::{Extent, Plan},
    remote::{self, RemotePrompt},
};
use crate::failure::{Exit, Failure};

/// Make the prompts of a workspace what the files in a directory say
///
/// Compares the drafts with the files (context files by their SHA-256) and sends only what differs: importing one's own
/// export does nothing. Everything is read and checked before anything is sent. Prompts that are not in the directory
/// are left alone, so are files and links that published versions serve, unless --prune is given. With --dry-run nothing
/// is sent and the differences are shown: exit code 2 if there are any, 0 if there are none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts import prompts/ --dry-run      in a pull request: 0 the same, 2 differences
  keywright prompts import prompts/ --publish      when it is merged: what changed becomes the next version")]
pub(crate) struct Import {
    /// Directory with a directory for each prompt
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Show the differences and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Publish each prompt whose draft is other than its newest version
    #[arg(long)]
    publish: bool,
    /// Delete files and links that are not in the directory even if published versions serve them
    #[arg(long)]
    prune: bool,
}

impl Import {
    pub(in crate::cli::prompts) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let plans = self.plans(scope)?;
        for plan in &plans {
            for note in &plan.notes {
                scope.session.console.note(&format!("note: {}: {note}", scope.package(&plan.slug)));
            }
        }
        if self.dry_run {
            return show(scope, &plans);
        }
        let bar = scope.session.console.progress("importing", "prompts", Some(plans.len() as u64));
        for plan in &plans {
            let mut revision = plan.revision;
            for step in &plan.steps {
                step.send(scope, &plan.slug, &mut revision)?;
            }
            bar.suspend(|| say_done(scope, plan))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        match scope.session.form {
            Form::Json => scope.session.console.answer_json(&as_json(&plans, false)),
            Form::People => scope.session.console.answer(&counted(&plans, "changed")),
        }
    }

    fn plans(&self, scope: &Scope) -> Result<Vec<Plan>, Failure> {
        let bundles = disk::read_all(&self.directory)?;
        let present = remote::prompts(scope)?;
        let present: HashMap<&str, &RemotePrompt> =
            present.iter().map(|prompt| (prompt.slug.as_str(), prompt)).collect();
        let extent = Extent { publish: self.publish, prune: self.prune };
        let bar = scope.session.console.progress("comparing", "prompts", Some(bundles.len() as u64));
        let mut plans = Vec::new();
        for bundle in bundles {
            let prompt = present.get(bundle.slug.as_str()).copied();
            plans.push(Plan::make(scope, bundle, prompt, extent)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(plans)
    }
}

fn summary(scope: &Scope, plan: &Plan) -> String {
    let steps: Vec<String> = plan.steps.iter().map(super::step::Step::summary).collect();
    format!("{}: {}", scope.package(&plan.slug), steps.join("; "))
}

fn say_done(scope: &mut Scope, plan: &Plan) -> Result<(), Failure> {
    if plan.steps.is_empty() || scope.session.form == Form::Json {
        return Ok(());
    }
    let line = summary(scope, plan);
    scope.session.console.answer(&line)
}

/// Shows what would be done, and says with the exit code whether there is anything.
fn show(scope: &mut Scope, plans: &[Plan]) -> Result<(), Failure> {
    if scope.session.form == Form::Json {
        scope.session.console.answer_json(&as_json(plans, true))?;
    } else {
        for plan in plans.iter().filter(|plan| !plan.steps.is_empty()) {
            let line = summary(scope, plan);
            scope.session.console.answer(&line)?;
            for line in plan.steps.iter().flat_map(|step| step.diff(&plan.slug)) {
                scope.session.console.answer(&format!("  {line}"))?;
            }
        }
    }
    scope.session.console.finish()?;
    scope.session.console.note(&counted(plans, "would be changed"));
    let is_same = plans.iter().all(|plan| plan.steps.is_empty());
    if is_same { Ok(()) } else { Err(Failure::silent(Exit::Arguments)) }
}

fn counted(plans: &[Plan], what: &str) -> String {
    let changed = plans.iter().filter(|plan| !plan.steps.is_empty()).count();
    format!("{changed} of {} prompt(s) {what}.", plans.len())
}

fn as_json(plans: &[Plan], dry_run: bool) -> Value {
    let prompts: Vec<Value> = plans
        .iter()
        .filter(|plan| !plan.steps.is_empty())
        .map(|plan| {
            let steps: Vec<Value> = plan.steps.iter().map(super::step::Step::json).collect();
            json!({"slug": plan.slug, "steps": steps})
        })
        .collect();
    json!({"dry_run": dry_run, "compared": plans.len(), "prompts": prompts})
}
