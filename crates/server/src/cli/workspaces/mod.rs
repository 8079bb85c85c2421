//! `keywright workspaces`: the tenants of the installation.

mod policy;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    administration::done,
    confirm::Confirmation,
    connection::{Connection, fresh_idempotency_key, path},
    console::Console,
    session::{Change, Session},
    table::column,
    values,
};
use crate::failure::{Exit, Failure};

/// List, create, rename, suspend and delete workspaces, and set their policies
///
/// A workspace is a tenant: it has a slug, a plan and policies, and every key belongs to exactly one. Needs an operator
/// credential, but for reading the workspace that the credential belongs to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright workspaces create acme --name 'Acme Inc.' --plan standard
  keywright workspaces list
  keywright workspaces policy acme --max-key-life 365d --rotate production=90d --enforce-rotation
  keywright workspaces suspend acme --yes
  keywright workspaces delete acme")]
pub(crate) struct Workspaces {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: WorkspacesCommand,
}

#[derive(Debug, Subcommand)]
enum WorkspacesCommand {
    /// List the workspaces
    ///
    /// In the order of their slugs.
    #[command(after_help = "Examples:\n  keywright workspaces list\n  keywright workspaces list --json")]
    List {
        /// Go on where an earlier list ended
        #[arg(long, value_name = "TEXT")]
        cursor: Option<String>,
    },
    /// Create a workspace
    ///
    /// The slug is its name in addresses: lower-case letters, digits and dashes.
    #[command(
        after_help = "Examples:\n  keywright workspaces create acme --name 'Acme Inc.' --plan enterprise"
    )]
    Create {
        /// Slug
        slug: String,
        /// Name shown to people; the slug when left out
        #[arg(long)]
        name: Option<String>,
        /// Plan
        #[arg(long)]
        plan: Option<String>,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show a workspace and its policies
    ///
    /// Rotation periods, overlap, expiry and permissions that its keys are held to.
    #[command(after_help = "Examples:\n  keywright workspaces get acme")]
    Get {
        /// Slug
        slug: String,
    },
    /// Change a workspace's name, plan or policies
    ///
    /// Changes what is named and leaves the rest. `keywright workspaces policy` has an option for each policy.
    #[command(after_help = "\
Examples:
  keywright workspaces update acme --plan enterprise
  keywright workspaces update acme --policy '{\"overlap_seconds\": 86400, \"max_key_days\": 365}'")]
    Update {
        /// Slug
        slug: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// New plan
        #[arg(long)]
        plan: Option<String>,
        /// Policies to change, as a JSON object
        #[arg(long, value_name = "JSON", value_parser = values::json_object)]
        policy: Option<Value>,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show or change what a workspace asks of its keys
    ///
    /// Longest life, rotation, idle keys, networks, permissions. Without an option it shows the policy. What a change takes
    /// away from keys, no node gives any more when the command returns.
    #[command(after_help = policy::EXAMPLES)]
    Policy {
        /// Slug
        slug: String,
        #[command(flatten)]
        change: Box<policy::PolicyArgs>,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Give a workspace another slug
    ///
    /// The old slug goes on leading to the workspace, and no other workspace gets it. A workspace can have had 10 others.
    #[command(after_help = "Examples:\n  keywright workspaces rename acme acme-inc")]
    Rename {
        /// Slug
        slug: String,
        /// New slug
        #[arg(value_name = "NEW")]
        new: String,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Suspend a workspace: all its keys stop working for now
    ///
    /// In force on every node when the command returns. `keywright workspaces resume` undoes it.
    #[command(after_help = "Examples:\n  keywright workspaces suspend acme --yes")]
    Suspend {
        /// Slug
        slug: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Delete a workspace: its keys stop at once, its data goes later
    ///
    /// For 30 days, or as --grace says, `keywright workspaces restore` brings it back as it was. From then on it is gone, and
    /// its keys, usage and members are removed; the audit trail stays. You are asked to type the slug again.
    #[command(after_help = "\
Examples:
  keywright workspaces delete acme
  keywright workspaces delete acme --confirm acme --grace 7d")]
    Delete {
        /// Slug
        slug: String,
        /// The slug again, where nobody can be asked, as in scripts
        #[arg(long, value_name = "SLUG")]
        confirm: Option<String>,
        /// How long it can be restored, in whole days, such as 7d
        #[arg(long, value_name = "DAYS", value_parser = values::days)]
        grace: Option<u32>,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Restore a deleted workspace
    ///
    /// Everything is as it was before. Keys that were revoked or disabled stay so.
    #[command(after_help = "Examples:\n  keywright workspaces restore acme")]
    Restore {
        /// Slug
        slug: String,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Let the keys of a suspended workspace work again
    ///
    /// Keys that were revoked, disabled or expired stay so.
    #[command(after_help = "Examples:\n  keywright workspaces resume acme")]
    Resume {
        /// Slug
        slug: String,
        /// Show the request that would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl Workspaces {
    /// Does what the arguments say.
    pub(crate) fn run(self, console: Console) -> Result<(), Failure> {
        let mut session = Session::open(&self.connection, console)?;
        self.command.run(&mut session)?;
        session.console.finish()
    }
}

impl WorkspacesCommand {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let place = |slug: &str| path(&["v1", "workspaces", slug]);
        match self {
            Self::List { cursor } => list(session, cursor),
            Self::Get { slug } => {
                let answer = session.client.get(&place(&slug), &[])?;
                session.show(&answer, &["id", "slug", "name", "plan"])
            }
            Self::Create { slug, name, plan, dry_run } => {
                let mut body = json!({"slug": slug, "name": name.as_ref().unwrap_or(&slug)});
                if let Some(plan) = plan {
                    body["plan"] = json!(plan);
                }
                let change = Change::post("/v1/workspaces".to_owned(), body).once(fresh_idempotency_key());
                done(session, &change, dry_run, &format!("Created workspace {slug}."))
            }
            Self::Update { slug, name, plan, policy, dry_run } => {
                let members =
                    [("name", name.map(Value::from)), ("plan", plan.map(Value::from)), ("policy", policy)];
                update(session, &slug, members, dry_run)
            }
            Self::Policy { slug, change, confirmation } => {
                policy::run(session, &slug, &place(&slug), &change, &confirmation)
            }
            Self::Rename { slug, new, dry_run } => {
                let change = Change::patch(place(&slug), json!({"slug": new}));
                done(
                    session,
                    &change,
                    dry_run,
                    &format!("Renamed {slug} to {new}. {slug} goes on leading to it."),
                )
            }
            Self::Delete { slug, confirm, grace, dry_run } => {
                delete(session, &slug, confirm.as_deref(), grace, dry_run)
            }
            Self::Restore { slug, dry_run } => {
                let place = path(&["v1", "workspaces", &slug, "restore"]);
                done(session, &Change::post(place, json!({})), dry_run, &format!("Restored {slug}."))
            }
            Self::Suspend { slug, confirmation } => {
                let change = Change::patch(place(&slug), json!({"suspended": true}));
                let question = format!("Every key of workspace {slug} stops working until it is resumed.");
                match session.change(&change, &confirmation, Some(&question))? {
                    None => Ok(()),
                    Some(answer) => session.show_done(&answer, &format!("Suspended {slug}.")),
                }
            }
            Self::Resume { slug, dry_run } => {
                let change = Change::patch(place(&slug), json!({"suspended": false}));
                done(session, &change, dry_run, &format!("Resumed {slug}."))
            }
        }
    }
}

fn list(session: &mut Session, cursor: Option<String>) -> Result<(), Failure> {
    let mut query = vec![("limit", "100".to_owned())];
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    let answer = session.client.get("/v1/workspaces", &query)?;
    let columns = [
        column("SLUG", "/slug"),
        column("NAME", "/name"),
        column("PLAN", "/plan"),
        column("SUSPENDED", "/suspended_at"),
        column("DELETED ON", "/deletes_at"),
        column("CREATED", "/created_at"),
    ];
    session.show_list(&answer, &columns, "There are no workspaces. `keywright workspaces create` makes one.")
}

fn update(
    session: &mut Session,
    slug: &str,
    members: [(&str, Option<Value>); 3],
    dry_run: bool,
) -> Result<(), Failure> {
    let named = members.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?)));
    let body: Map<String, Value> = named.collect();
    if body.is_empty() {
        return Err(Failure::new(Exit::Arguments, "nothing to change was named")
            .remedy("Name at least one of --name, --plan and --policy."));
    }
    let change = Change::patch(path(&["v1", "workspaces", slug]), Value::Object(body));
    done(session, &change, dry_run, &format!("Changed {slug}."))
}

/// Deletes a workspace whose slug was typed twice.
fn delete(
    session: &mut Session,
    slug: &str,
    confirm: Option<&str>,
    grace_days: Option<u32>,
    dry_run: bool,
) -> Result<(), Failure> {
    if !dry_run {
        confirm_slug(session, slug, confirm)?;
    }
    let grace = grace_days.map_or_else(String::new, |days| format!("&grace_days={days}"));
    let place = path(&["v1", "workspaces", slug]);
    let change = Change::delete(format!("{place}?confirm={slug}{grace}"));
    match session.change(&change, &Confirmation { yes: true, dry_run }, None)? {
        None => Ok(()),
        Some(answer) => {
            let until = answer.get("deletes_at").and_then(Value::as_str).unwrap_or("?");
            let text = format!("Deleted {slug}. It can be restored until {until}.");
            session.show_done(&answer, &text)
        }
    }
}

fn confirm_slug(session: &mut Session, slug: &str, confirm: Option<&str>) -> Result<(), Failure> {
    let question = format!(
        "Every key of workspace {slug} stops working, and its data is removed when the time to restore it is over.\n\
         Type the slug to go on:"
    );
    let typed = match confirm {
        Some(typed) => Some(typed.to_owned()),
        None => session.console.ask(&question),
    };
    match typed {
        Some(typed) if typed == slug => Ok(()),
        Some(_) => Err(Failure::new(Exit::Negative, "nothing was changed: that is not the workspace's slug")),
        None => Err(Failure::new(
            Exit::Arguments,
            "deleting needs the slug once more, and standard input is not a terminal",
        )
        .remedy(format!("Add --confirm {slug} if that is what you want."))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{
        super::{
            console::{Dialogue, captured::console},
            fake_server::FakeServer,
        },
        *,
    };

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        workspaces: Workspaces,
    }

    fn run(
        server: &FakeServer,
        input: &[u8],
        dialogue: Dialogue,
        arguments: &[&str],
    ) -> Result<String, Exit> {
        let front = ["workspaces", "--url", server.url()];
        let line = Line::try_parse_from([&front, arguments].concat()).unwrap();
        let (console, out, _) = console(input, dialogue);
        line.workspaces.run(console).map_err(|failure| failure.exit())?;
        Ok(out.text())
    }

    #[test]
    fn the_slug_must_be_typed_again() {
        let answer = || {
            let body = r#"{"slug": "acme", "deletes_at": "2026-12-21T08:00:00.000Z", "effective": {"nodes": 1, "waited_ms": 0.1}}"#;
            FakeServer::start(vec![(200, body.to_owned())])
        };
        let server = answer();
        let wrong = run(&server, b"acne\n", Dialogue::Possible, &["delete", "acme"]);
        assert_eq!(wrong, Err(Exit::Negative));
        let nobody = run(&server, b"", Dialogue::Impossible, &["delete", "acme"]);
        assert_eq!(nobody, Err(Exit::Arguments));
        assert!(server.requests().is_empty(), "nothing was sent");
        let done = run(&server, b"acme\n", Dialogue::Possible, &["delete", "acme", "--grace", "7d"]).unwrap();
        assert!(done.contains("until 2026-12-21T08:00:00.000Z. In force on 1 node"), "{done}");
        assert!(server.requests()[0].starts_with("DELETE /v1/workspaces/acme?confirm=acme&grace_days=7 "));
    }

    #[test]
    fn options_become_the_policy_that_they_say() {
        let server = FakeServer::start(vec![(200, r#"{"policy": {}}"#.to_owned())]);
        let arguments = [
            "policy",
            "acme",
            "--max-key-life",
            "365d",
            "--rotate",
            "production=90d",
            "--rotate",
            "ci=3mo",
            "--rotate",
            "development=none",
            "--enforce-rotation",
            "--idle",
            "60d",
            "--disable-idle",
            "--allow-ip",
            "203.0.113.0/24",
            "--yes",
        ];
        run(&server, b"", Dialogue::Impossible, &arguments).unwrap();
        let request = server.requests().remove(0);
        let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(
            body,
            json!({"policy": {
                "max_key_days": 365,
                "rotation": {"production": {"days": 90}, "ci": {"months": 3}, "development": null},
                "rotation_mode": "enforce",
                "idle_days": 60,
                "idle_action": "disable",
                "allowed_ips": ["203.0.113.0/24"],
            }})
        );
    }
}
