//! Questions about keys.

use clap::{Args, ValueEnum};
use keywright_domain::time::Clock as _;
use serde_json::{Value, json};

use super::{
    super::{
        connection::{Call, path},
        session::{Form, Session},
        table::{self, Column, column},
        values::{self, When},
    },
    Scope,
    bulk::Filter,
};
use crate::{
    failure::{Exit, Failure},
    system::SystemClock,
};

/// Locators in one request, as many as the server takes.
const LOOKUP_MAX: usize = keywright_domain::caps::LOOKUP_LOCATORS_MAX;
const LOOKUP_INPUT_MAX_BYTES: u64 = 16 << 20;

const KEY_COLUMNS: [Column; 7] = [
    column("ID", "/id"),
    column("NAME", "/name"),
    column("ENVIRONMENT", "/environment"),
    column("STATUS", "/status"),
    column("SECRET", "/secrets/0/hint"),
    column("LAST USED", "/last_used_at"),
    column("EXPIRES", "/effective_expires_at"),
];
const KEY_FIELDS: [&str; 8] =
    ["id", "workspace", "name", "purpose", "environment", "mode", "status", "permissions"];

/// List the keys of a workspace, newest first
///
/// Secrets are shown by their hint: prefix, locator and last four characters.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys list
  keywright keys list --env production --status active --rotation-due
  keywright keys list --unused-days 90 --all --json | jq -r '.data[].id'
  keywright keys list --orphaned                keys whose creators have left
  keywright keys list --locator aB3dE6gH9kLm    whose key is this, from a leak report")]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Most keys to show at once, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long, value_name = "TEXT")]
    cursor: Option<String>,
    /// Show all pages
    #[arg(long, conflicts_with = "cursor")]
    all: bool,
}

impl List {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let mut query: Vec<(&str, String)> = self
            .filter
            .members()
            .into_iter()
            .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        query.push(("limit", self.limit.to_string()));
        let path = scope.path(&[]);
        let answer = all_pages(&scope.session, &path, &query, self.cursor, self.all)?;
        scope.session.show_list(&answer, &KEY_COLUMNS, "No key matches.")
    }
}

/// One page of a list, or all of them as one.
pub(crate) fn all_pages(
    session: &Session,
    path: &str,
    query: &[(&str, String)],
    cursor: Option<String>,
    all: bool,
) -> Result<Value, Failure> {
    let mut cursor = cursor;
    let mut rows = Vec::new();
    loop {
        let mut page_query = query.to_vec();
        page_query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = session.client.get(path, &page_query)?;
        if !all {
            return Ok(page);
        }
        if let Some(Value::Array(items)) = page.get_mut("data").map(Value::take) {
            rows.extend(items);
        }
        cursor = page.get("cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(json!({"data": rows, "cursor": null, "has_more": false}));
        }
    }
}

/// Show one key
///
/// With the last use of each of its secrets, which tells whether a rotation can be completed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys get key_01…
  keywright keys get key_01… --json | jq .secrets")]
pub(crate) struct Get {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
}

impl Get {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let answer = scope.session.client.get(&scope.path(&[&self.id]), &[])?;
        scope.session.show(&answer, &KEY_FIELDS)
    }
}

/// The length of a bucket.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Granularity {
    Minute,
    Hour,
    Day,
}

/// Show how much a key, or the whole workspace, was used
///
/// Verifications by outcome and cost, summed up by minute, hour or day (UTC).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys usage                                   the workspace, the last day by hour
  keywright keys usage key_01… --since 30d --by day
  keywright keys usage key_01… --since 2026-11-01 --until 2026-11-08 --json")]
pub(crate) struct Usage {
    /// Id of the key; the whole workspace when left out
    #[arg(value_name = "KEY")]
    id: Option<String>,
    /// From then on: a duration back, a date or a date-time
    #[arg(long, value_name = "WHEN", default_value = "1d", value_parser = values::when)]
    since: When,
    /// Up to then; now when left out
    #[arg(long, value_name = "WHEN", value_parser = values::when)]
    until: Option<When>,
    /// Length of a bucket
    #[arg(long, value_name = "BUCKET", default_value = "hour")]
    by: Granularity,
}

impl Usage {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let now = SystemClock.now();
        let granularity = match self.by {
            Granularity::Minute => "minute",
            Granularity::Hour => "hour",
            Granularity::Day => "day",
        };
        let query = [
            ("granularity", granularity.to_owned()),
            ("from", self.since.resolve_back(now).to_rfc3339()),
            ("until", self.until.map_or(now, |until| until.resolve_back(now)).to_rfc3339()),
        ];
        let path = match &self.id {
            Some(id) => scope.path(&[id, "usage"]),
            None => path(&["v1", "workspaces", &scope.workspace, "usage"]),
        };
        let answer = scope.session.client.get(&path, &query)?;
        if scope.session.form == Form::Json {
            return scope.session.console.answer_json(&answer);
        }
        let columns = [
            column("START", "/start"),
            column("REQUESTS", "/total"),
            column("COST", "/cost"),
            column("BY CODE", "/by_code"),
        ];
        let series = json!({"data": answer.get("series")});
        scope.session.show_list(&series, &columns, "No use in that time.")?;
        let member = |name: &str| answer.get(name).map_or_else(|| "?".to_owned(), table::text);
        let total =
            format!("{} requests, {} refused, cost {}", member("total"), member("refused"), member("cost"));
        scope.session.console.answer(&total)
    }
}

/// Show who used a key from where, for what, with which outcome
///
/// One row per minute, source address, route and outcome, newest first: the extent of a leak.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys ledger key_01…
  keywright keys ledger key_01… --limit 100 --json | jq -r '.data[].address' | sort | uniq -c")]
pub(crate) struct Ledger {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
    /// Most rows to show at once, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long, value_name = "TEXT")]
    cursor: Option<String>,
    /// Show all pages
    #[arg(long, conflicts_with = "cursor")]
    all: bool,
}

impl Ledger {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let path = scope.path(&[&self.id, "ledger"]);
        let query = vec![("limit", self.limit.to_string())];
        let answer = all_pages(&scope.session, &path, &query, self.cursor, self.all)?;
        let columns = [
            column("MINUTE", "/minute"),
            column("ADDRESS", "/address"),
            column("ROUTE", "/route"),
            column("OUTCOME", "/code"),
            column("AGENT", "/agent"),
            column("COUNT", "/count"),
        ];
        scope.session.show_list(&answer, &columns, "The key was not used.")
    }
}

/// Show from which networks a key is used, those first seen last first
///
/// Each network (IPv4 /24, IPv6 /48) with the first and last use from there and how many were refused: an unusual location
/// stands at the top. `keywright keys ledger` has every address.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys origins key_01…
  keywright keys origins key_01… --json | jq '.data[] | select(.accepted == 0)'")]
pub(crate) struct Origins {
    /// Id of the key
    #[arg(value_name = "KEY")]
    id: String,
}

impl Origins {
    pub(super) fn run(self, scope: &mut Scope) -> Result<(), Failure> {
        let answer = scope.session.client.get(&scope.path(&[&self.id, "origins"]), &[])?;
        let columns = [
            column("NETWORK", "/network"),
            column("FIRST SEEN", "/first_seen_at"),
            column("LAST SEEN", "/last_seen_at"),
            column("ACCEPTED", "/accepted"),
            column("REFUSED", "/refused"),
        ];
        scope.session.show_list(&answer, &columns, "The key was not used.")
    }
}

/// Find keys by the public part of their secrets
///
/// Takes locators (12 letters and digits) or hints (`sk_live_aB3dE6gH9kLm…wXyZ`) as arguments, or from standard input,
/// one per line. The locator is public: nobody has to handle the secret of a leaked key to find out whose it is. A
/// whole key works too on standard input: only its locator is sent.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright keys lookup aB3dE6gH9kLm
  keywright keys lookup 'sk_live_aB3dE6gH9kLm…wXyZ'
  keywright keys lookup < locators.txt")]
pub(crate) struct Lookup {
    /// Locators or hints; standard input when left out
    #[arg(value_name = "LOCATOR")]
    locators: Vec<String>,
}

impl Lookup {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        let given_as_arguments = !self.locators.is_empty();
        let texts = if given_as_arguments {
            self.locators
        } else {
            let bytes = zeroize::Zeroizing::new(session.console.read_input(LOOKUP_INPUT_MAX_BYTES)?);
            String::from_utf8_lossy(&bytes).split_whitespace().map(str::to_owned).collect()
        };
        let mut locators = Vec::new();
        for text in &texts {
            let (locator, whole) = locator_of(text)?;
            if whole && given_as_arguments {
                session.console.note(&format!(
                    "warning: a whole key was given as an argument, where others can read it: rotate the key of {locator}"
                ));
            }
            locators.push(locator);
        }
        let answer = json!({"data": look_up(session, &locators)?});
        let columns = [
            column("LOCATOR", "/locator"),
            column("KEY", "/key/id"),
            column("NAME", "/key/name"),
            column("WORKSPACE", "/key/workspace"),
            column("STATUS", "/key/status"),
            column("WORKS", "/usable"),
        ];
        session.show_list(&answer, &columns, "No locator was given.")?;
        session.console.finish()
    }
}

/// What an installation knows of these locators, in the same order.
pub(crate) fn look_up(session: &Session, locators: &[String]) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    for some in locators.chunks(LOOKUP_MAX) {
        let body = json!({"locators": some});
        let mut answer = session.client.send(&Call {
            method: ureq::http::Method::POST,
            path: "/v1/keys/lookup".to_owned(),
            body: Some(&body),
            idempotency_key: None,
        })?;
        match answer.get_mut("data").map(Value::take) {
            Some(Value::Array(items)) => rows.extend(items),
            _ => {
                return Err(Failure::new(Exit::Unreachable, "the server's answer to the lookup has no data"));
            }
        }
    }
    Ok(rows)
}

/// The locator in a locator, a hint or a whole key, and whether it was a whole key.
fn locator_of(text: &str) -> Result<(String, bool), Failure> {
    use keywright_keyformat::{Confidence, Locator, ScanOptions, scan};
    let whole = scan(text.as_bytes(), ScanOptions::default())
        .find(|found| found.confidence == Confidence::Confirmed)
        .map(|found| found.locator.to_string());
    if let Some(locator) = whole {
        return Ok((locator, true));
    }
    let public = text.split(['…', '.']).next().unwrap_or_default();
    let candidate = public.rsplit('_').next().unwrap_or_default();
    Locator::parse(candidate).map(|locator| (locator.to_string(), false)).map_err(|_| {
        Failure::new(Exit::Arguments, "a text is neither a locator nor a hint nor a key")
            .remedy("A locator is the 12 letters and digits after the prefix: aB3dE6gH9kLm of sk_live_aB3dE6gH9kLm…wXyZ.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locators_are_read_from_every_form() {
        let key = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";
        for (text, expected) in [
            ("07ELSZgnu18F", Some(("07ELSZgnu18F", false))),
            ("sk_live_07ELSZgnu18F…0MxH", Some(("07ELSZgnu18F", false))),
            ("sk_test_acme_07ELSZgnu18F...0MxH", Some(("07ELSZgnu18F", false))),
            (key, Some(("07ELSZgnu18F", true))),
            ("hunter2", None),
            ("", None),
        ] {
            let found = locator_of(text);
            assert_eq!(found.ok(), expected.map(|(locator, whole)| (locator.to_owned(), whole)), "{text}");
        }
    }
}
