//! Commands on credits: prepaid balances of a workspace.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    confirm::Confirmation,
    connection::{Connection, InWorkspace, fresh_idempotency_key, path},
    console::Console,
    session::{Change, Session},
    table::column,
};
use crate::failure::Failure;

/// Grant, refill, reserve and look at credits
///
/// Credits are prepaid: of one key, or of all keys with the same external id. A verification spends them with
/// `"credits": N`, together with the limits, all or nothing. Granting and refilling needs an operator credential;
/// reserving, committing and refunding needs keys:verify; looking needs usage:read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright credits grant -w acme --external-id cust_42 1000 --reason 'Invoice 2026-118'
  keywright credits refill -w acme --external-id cust_42 --amount 1000 --every-seconds 86400 --cap 5000
  keywright credits list -w acme")]
pub(crate) struct Credits {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    workspace: InWorkspace,
    #[command(subcommand)]
    command: CreditsCommand,
}

/// Whose balance.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// Id of the key, for a balance of its own
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The external id whose keys share the balance
    #[arg(long, value_name = "TEXT")]
    external_id: Option<String>,
}

impl Whose {
    fn body(&self, rest: Value) -> Value {
        let mut body: Map<String, Value> = match rest {
            Value::Object(rest) => rest,
            _ => Map::new(),
        };
        let named = [("key_id", &self.key), ("external_id", &self.external_id)];
        body.extend(
            named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))),
        );
        Value::Object(body)
    }
}

#[derive(Debug, Subcommand)]
enum CreditsCommand {
    /// List the balances of a workspace
    ///
    /// Oldest first. What was granted is always balance + held + reserved + spent; `held` is what nodes may be spending at
    /// this moment, and settles within a second.
    #[command(
        after_help = "Examples:\n  keywright credits list -w acme\n  keywright credits list -w acme --json"
    )]
    List {
        /// Go on where an earlier list ended
        #[arg(long, value_name = "TEXT")]
        cursor: Option<String>,
    },
    /// Add to a balance
    ///
    /// Opens the balance if there is none.
    #[command(after_help = "Examples:\n  keywright credits grant -w acme --external-id cust_42 1000")]
    Grant {
        #[command(flatten)]
        whose: Whose,
        /// How many
        amount: u64,
        /// Why, for the audit trail
        #[arg(long)]
        reason: Option<String>,
    },
    /// Set the grant that repeats, or end it
    ///
    /// The first one comes after one period. Without --amount the refill ends.
    #[command(
        after_help = "Examples:\n  keywright credits refill -w acme --external-id cust_42 --amount 1000 --every-seconds 86400 --cap 5000\n  keywright credits refill -w acme --external-id cust_42"
    )]
    Refill {
        #[command(flatten)]
        whose: Whose,
        /// Credits per time
        #[arg(long, requires_all = ["every_seconds", "cap"])]
        amount: Option<u64>,
        /// How often, in seconds (60 to 31622400)
        #[arg(long, requires = "amount")]
        every_seconds: Option<u32>,
        /// The balance is never filled beyond this
        #[arg(long, requires = "amount")]
        cap: Option<u64>,
    },
    /// Set credits aside for work whose cost is not known yet
    ///
    /// What is neither committed nor refunded in time goes back.
    #[command(
        after_help = "Examples:\n  keywright credits reserve -w acme --external-id cust_42 20 --ttl-seconds 300"
    )]
    Reserve {
        #[command(flatten)]
        whose: Whose,
        /// How many
        amount: u64,
        /// When they go back by themselves, in seconds
        #[arg(long, default_value_t = 300)]
        ttl_seconds: u32,
    },
    /// Spend a reservation, or a part of it
    ///
    /// The rest goes back. Saying it again changes nothing.
    #[command(
        after_help = "Examples:\n  keywright credits commit -w acme rsv_01k9zq3v4w5x6y7z8a9b0c1d2e --amount 12"
    )]
    Commit {
        /// Id of the reservation
        reservation: String,
        /// How much of it; all when left out
        #[arg(long)]
        amount: Option<u64>,
    },
    /// Give a reservation back
    ///
    /// Saying it again changes nothing.
    #[command(after_help = "Examples:\n  keywright credits refund -w acme rsv_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    Refund {
        /// Id of the reservation
        reservation: String,
    },
}

impl Credits {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        let slug = self.workspace.slug(&session.client)?;
        self.command.run(&mut session, &slug)?;
        session.console.finish()
    }
}

impl CreditsCommand {
    fn run(self, session: &mut Session, slug: &str) -> Result<(), Failure> {
        match self {
            Self::List { cursor } => list(session, slug, cursor),
            Self::Grant { whose, amount, reason } => {
                let mut body = whose.body(json!({"amount": amount}));
                if let Some(reason) = reason {
                    body["reason"] = json!(reason);
                }
                let change = post(slug, &["grant"], body).once(fresh_idempotency_key());
                send(session, &change, "Granted.")
            }
            Self::Refill { whose, amount, every_seconds, cap } => {
                let refill = amount
                    .map(|amount| json!({"amount": amount, "every_seconds": every_seconds, "cap": cap}));
                let place = place(slug, &["refill"]);
                let change = Change::put(place, whose.body(json!({"refill": refill})));
                send(session, &change, if refill.is_some() { "Set." } else { "Ended." })
            }
            Self::Reserve { whose, amount, ttl_seconds } => {
                let body = whose.body(json!({"amount": amount, "ttl_seconds": ttl_seconds}));
                let change = post(slug, &["reserve"], body).once(fresh_idempotency_key());
                send(session, &change, "Reserved.")
            }
            Self::Commit { reservation, amount } => {
                let body = amount.map_or_else(|| json!({}), |amount| json!({"amount": amount}));
                let change = post(slug, &["reservations", &reservation, "commit"], body);
                send(session, &change, "Committed.")
            }
            Self::Refund { reservation } => {
                let change = post(slug, &["reservations", &reservation, "refund"], json!({}));
                send(session, &change, "Refunded.")
            }
        }
    }
}

fn list(session: &mut Session, slug: &str, cursor: Option<String>) -> Result<(), Failure> {
    let mut query = vec![("limit", "100".to_owned())];
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    let answer = session.client.get(&place(slug, &[]), &query)?;
    let columns = [
        column("ID", "/id"),
        column("EXTERNAL ID", "/external_id"),
        column("KEY", "/key_id"),
        column("BALANCE", "/balance"),
        column("HELD", "/held"),
        column("RESERVED", "/reserved"),
        column("SPENT", "/spent"),
        column("GRANTED", "/granted"),
    ];
    session.show_list(&answer, &columns, "There are no balances. `keywright credits grant` opens one.")
}

fn place(slug: &str, rest: &[&str]) -> String {
    let mut parts = vec!["v1", "workspaces", slug, "credits"];
    parts.extend(rest);
    path(&parts)
}

fn post(slug: &str, rest: &[&str], body: Value) -> Change {
    Change::post(place(slug, rest), body)
}

fn send(session: &mut Session, change: &Change, said: &str) -> Result<(), Failure> {
    match session.change(change, &Confirmation { yes: true, dry_run: false }, None)? {
        None => Ok(()),
        Some(answer) => session.show_done(&answer, said),
    }
}
