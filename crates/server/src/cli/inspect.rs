//! `keywright key inspect`: what a text is, found out on this machine.

use std::{io::Read as _, path::PathBuf};

use clap::{Args, Subcommand};
use keywright_keyformat::{Confidence, IssuerTag, KeyKind, Malformed, ScanOptions, scan};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{console::Console, table};
use crate::failure::{Exit, Failure};

const TEXT_MAX_BYTES: u64 = 65_536;

/// Look at the text of a key, offline
#[derive(Debug, Args)]
#[command(
    about = "Look at the text of a key, offline",
    long_about = "Look at the text of a key, offline\n\nNothing leaves this machine, and no server is needed.",
    after_help = "Examples:\n  keywright key inspect < key.txt"
)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(Inspect),
}

/// Say whether a text is a well-formed key, and if not, why and what to do
///
/// Reads standard input unless a text or file is named; a text given as an argument stays in your shell's history.
/// Shows kind, mode, issuer tag, locator and hint, never the secret part. A well-formed key need not exist:
/// `keywright keys verify` asks a server. Exit code 0 for a well-formed key, 1 for anything else.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright key inspect < key.txt
  printf %s \"$BAYT_API_KEY\" | keywright key inspect
  keywright key inspect 'sk_live_abc123'          an example key from a document
  keywright key inspect --tag acme --json < key.txt")]
pub(crate) struct Inspect {
    /// Text to look at; - or nothing: standard input
    #[arg(value_name = "TEXT|-", allow_hyphen_values = true)]
    text: Option<Given>,
    /// File to look at
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    file: Option<PathBuf>,
    /// Issuer tag that keys of the installation have; any is accepted when left out
    #[arg(long, value_name = "TAG")]
    tag: Option<IssuerTag>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// A text that may be a secret.
#[derive(Clone)]
struct Given(Zeroizing<String>);

impl std::str::FromStr for Given {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl std::fmt::Debug for Given {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Given(…)")
    }
}

impl Key {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        let Command::Inspect(inspect) = self.command;
        inspect.run(&mut console)
    }
}

impl Inspect {
    fn run(self, console: &mut Console) -> Result<(), Failure> {
        let text = self.read(console)?;
        let text = strip_line_break(&text);
        let (answer, malformed) = describe(text, self.tag.as_ref());
        if self.json {
            console.answer_json(&answer)?;
        } else {
            console.answer(&table::fields(
                &answer,
                &["well_formed", "kind", "mode", "tag", "locator", "hint"],
            ))?;
        }
        if self.text.is_some_and(|given| given.0.as_str() != "-") && malformed.is_none() {
            console.note(
                "warning: this key was given as an argument, so your shell keeps it in its history; rotate it if it is \
                 in use, and use standard input next time",
            );
        }
        console.finish()?;
        malformed.map_or(Ok(()), |reason| {
            Err(Failure::new(Exit::Negative, format!("not a key ({})", reason.code())).remedy(reason.hint()))
        })
    }

    fn read(&self, console: &mut Console) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if let Some(file) = &self.file {
            let mut bytes = Zeroizing::new(Vec::new());
            std::fs::File::open(file)
                .and_then(|opened| opened.take(TEXT_MAX_BYTES).read_to_end(&mut bytes))
                .map_err(|error| {
                    Failure::new(Exit::Negative, format!("cannot read {}: {error}", file.display()))
                        .remedy("Name a file that holds the key and nothing else.")
                })?;
            return Ok(bytes);
        }
        match &self.text {
            Some(given) if given.0.as_str() != "-" => Ok(Zeroizing::new(given.0.as_bytes().to_vec())),
            _ => Ok(Zeroizing::new(console.read_input(TEXT_MAX_BYTES)?)),
        }
    }
}

/// One line break at the end belongs to the file, not to the key.
fn strip_line_break(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// The answer, and why the text is no key.
fn describe(text: &[u8], tag: Option<&IssuerTag>) -> (Value, Option<Malformed>) {
    let found = scan(text, ScanOptions::default())
        .find(|found| found.confidence == Confidence::Confirmed && found.length == text.len());
    let reason = keywright_keyformat::parse(text, tag).err();
    let reason = match reason {
        // Without a tag to hold it against, a key of any installation is a key.
        Some(Malformed::WrongIssuer { .. }) if tag.is_none() => None,
        other => other,
    };
    let Some(found) = found else {
        let reason = reason.unwrap_or(Malformed::WrongChecksum);
        let answer = json!({
            "well_formed": false, "reason": reason.code(), "explanation": reason.hint(), "length": text.len(),
        });
        return (answer, Some(reason));
    };
    let mode = match found.kind {
        KeyKind::Operator => Value::Null,
        kind => json!(kind.as_str()),
    };
    let kind = if found.kind == KeyKind::Operator { "operator credential" } else { "API key" };
    let mut answer = json!({
        "well_formed": reason.is_none(), "kind": kind, "mode": mode, "tag": found.tag.map(|tag| tag.to_string()),
        "locator": found.locator.to_string(), "hint": found.hint(text).to_string(), "length": text.len(),
    });
    if let Some(reason) = &reason {
        answer["reason"] = json!(reason.code());
        answer["explanation"] = json!(reason.hint());
    }
    (answer, reason)
}

#[cfg(test)]
mod tests {
    use super::{
        super::console::{Dialogue, captured::console},
        *,
    };

    const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

    fn inspect(input: &str, json: bool) -> (Result<(), Failure>, String) {
        let (mut console, out, err) = console(input.as_bytes(), Dialogue::Impossible);
        let outcome = Inspect { text: None, file: None, tag: None, json }.run(&mut console);
        let failure = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        (outcome, format!("{}{}{failure}", out.text(), err.text()))
    }

    #[test]
    fn a_key_is_described_without_its_secret() {
        for json in [false, true] {
            let (outcome, text) = inspect(&format!("{KEY}\n"), json);
            assert!(outcome.is_ok());
            assert!(text.contains("07ELSZgnu18F…0MxH") && text.contains("live"), "{text}");
            assert!(!text.contains("MTahov"), "{text}");
        }
    }

    #[test]
    fn what_is_none_says_why_and_is_not_repeated() {
        for (input, code) in [
            (format!("\"{KEY}\""), "quoted"),
            (KEY[..49].to_owned(), "truncated"),
            ("sk_live_abc123".to_owned(), "placeholder"),
            (format!("{}X", &KEY[..49]), "wrong_checksum"),
            (format!(" {KEY}"), "surrounding_space"),
            (format!("Bearer {KEY}"), "bearer_prefix_inside"),
            (String::new(), "empty"),
        ] {
            let (outcome, text) = inspect(&input, true);
            assert_eq!(outcome.err().map(|failure| failure.exit()), Some(Exit::Negative), "{input}");
            assert!(text.contains(&format!("\"{code}\"")), "{code}: {text}");
            assert!(!text.contains("MTahov"), "{text}");
        }
    }

    #[test]
    fn the_issuer_tag_is_held_against_the_key() {
        let tag = IssuerTag::parse("acme").unwrap();
        let (answer, reason) = describe(KEY.as_bytes(), Some(&tag));
        assert_eq!(reason.map(|reason| reason.code()), Some("wrong_issuer"));
        assert_eq!((&answer["well_formed"], &answer["locator"]), (&json!(false), &json!("07ELSZgnu18F")));
    }
}
