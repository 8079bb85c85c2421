//! `keywright prompts export`.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use keywright_domain::prompt::FILE_MAX_BYTES;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        super::{connection::path, session::Form},
        Scope,
    },
    bundle::BundleFile,
    disk,
    remote::{self, RemotePrompt},
};
use crate::failure::{Exit, Failure};

const FILES_NEED_A_KEY: &str = "Context files are downloaded with a workspace key that has context:download, not with an operator credential.";

/// Write the prompts of a workspace into a directory, for git
///
/// A directory for each prompt that is not archived: prompt.toml, generator.md, system.md, critique.md and context/ with
/// files and links.toml. It is the draft that is written, texts byte for byte; no ids and no times, so that a second
/// export changes nothing. Needs prompts:write and, where prompts have files, context:download.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright prompts export prompts/
  keywright prompts export prompts/ qa-bot support-assistant
  keywright prompts export prompts/ && git -C prompts diff")]
pub(crate) struct Export {
    /// Directory to write to; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Slugs of prompts; all that are not archived when left out
    #[arg(value_name = "PROMPT")]
    prompts: Vec<String>,
}

impl Export {
    pub(in crate::cli::prompts) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let all = remote::prompts(scope)?;
        let known: BTreeSet<String> = all.iter().map(|prompt| prompt.slug.clone()).collect();
        let wanted = self.wanted(all)?;
        let bar = scope.session.console.progress("exporting", "prompts", Some(wanted.len() as u64));
        for prompt in &wanted {
            self.write(scope, prompt.clone())?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.directory.exists() {
            for slug in disk::strangers(&self.directory, &known)? {
                let note =
                    format!("note: {slug} is in the directory and not on the server; it was left as it is");
                scope.session.console.note(&note);
            }
        }
        let slugs: Vec<&String> = wanted.iter().map(|prompt| &prompt.slug).collect();
        match scope.session.form {
            Form::Json => scope.session.console.answer_json(&json!({"exported": slugs})),
            Form::People => {
                let place = self.directory.display();
                scope.session.console.answer(&format!("Exported {} prompt(s) to {place}.", slugs.len()))
            }
        }
    }

    fn wanted(&self, all: Vec<RemotePrompt>) -> Result<Vec<RemotePrompt>, Failure> {
        let missing = self.prompts.iter().find(|slug| !all.iter().any(|prompt| prompt.slug == **slug));
        if let Some(slug) = missing {
            return Err(Failure::new(Exit::Negative, format!("there is no prompt {slug}")));
        }
        let is_wanted = |prompt: &RemotePrompt| {
            if self.prompts.is_empty() {
                prompt.archived_at.is_none()
            } else {
                self.prompts.contains(&prompt.slug)
            }
        };
        Ok(all.into_iter().filter(is_wanted).collect())
    }

    fn write(&self, scope: &Scope, prompt: RemotePrompt) -> Result<(), Failure> {
        let items = remote::items(scope, &prompt)?;
        let (bundle, ids) = remote::bundle(prompt, &items)?;
        disk::write(&self.directory, &bundle, |file| {
            let at = bundle.files.iter().position(|other| other == file);
            download(scope, file, at.map_or("", |at| &ids[at]))
        })
    }
}

/// The content of a context file, which has to be what its digest says.
fn download(scope: &Scope, file: &BundleFile, id: &str) -> Result<Vec<u8>, Failure> {
    let client = &scope.session.client;
    let place = path(&["v1", "prompts", "context", "download-url"]);
    let answer = client
        .get(&place, &[("contextId", id.to_owned())])
        .map_err(|failure| failure.also(FILES_NEED_A_KEY))?;
    let link = answer.get("url").and_then(Value::as_str).unwrap_or_default();
    let bytes = client.download(link, FILE_MAX_BYTES)?;
    if hex::encode(Sha256::digest(&bytes)) != file.known.sha256 {
        let message = format!("{} arrived with other bytes than its SHA-256 says", file.known.name);
        return Err(Failure::new(Exit::Negative, message).remedy("Export again."));
    }
    Ok(bytes)
}
