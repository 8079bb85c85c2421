//! What is collected of people, why, and for how long: a statement about every column of the schema.
//!
//! The page `docs/what-is-collected.md` and `GET /v1/privacy/collected` are made of it; a test fails when a column is in neither list.

use crate::transfer::TABLES;

/// How data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Sealed under a key that is destroyed with the person, or when retention has passed.
    Sealed,
    /// As a digest that tells nothing without a key of the installation.
    Digest,
    /// As it is.
    Clear,
}

impl Kept {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Digest => "digest",
            Self::Clear => "clear",
        }
    }
}

/// Something that is collected of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected {
    /// What it is.
    pub what: &'static str,
    /// What it is for.
    pub why: &'static str,
    /// How long it is kept.
    pub until: &'static str,
    /// How it is kept.
    pub kept: Kept,
    /// Where: table and columns.
    pub places: &'static [(&'static str, &'static [&'static str])],
}

const UNTIL_ERASED: &str = "until the person is erased";
const FOR_GOOD: &str = "for good; once the person is erased it names nobody";
const ACCESS: &str = "`retention.access_days` (365 unless set), or until the workspace is purged";

/// All that is collected.
#[rustfmt::skip]
pub const COLLECTED: &[Collected] = &[
    Collected {
        what: "Name and e-mail address",
        why: "to address people, and to let them sign in",
        until: UNTIL_ERASED,
        kept: Kept::Sealed,
        places: &[("users", &["sealed"])],
    },
    Collected {
        what: "Digest of the e-mail address",
        why: "to find whoever signs in",
        until: UNTIL_ERASED,
        kept: Kept::Digest,
        places: &[("users", &["email_index"])],
    },
    Collected {
        what: "Password, as Argon2id",
        why: "to let people sign in",
        until: UNTIL_ERASED,
        kept: Kept::Digest,
        places: &[("users", &["password_hash"])],
    },
    Collected {
        what: "When the account was made",
        why: "for the person's own record",
        until: FOR_GOOD,
        kept: Kept::Clear,
        places: &[("users", &["id", "created_at"])],
    },
    Collected {
        what: "Memberships and roles, by random id",
        why: "to know who may do what",
        until: FOR_GOOD,
        kept: Kept::Clear,
        places: &[("memberships", &["principal_kind", "principal_id", "role", "narrowed_to", "created_at", "ended_at", "disabled_at"])],
    },
    Collected {
        what: "Who created keys, prompts and service accounts, by random id",
        why: "keys may do what their creators may",
        until: FOR_GOOD,
        kept: Kept::Clear,
        places: &[
            ("keys", &["creator_kind", "creator_id"]),
            ("prompts", &["creator_kind", "creator_id"]),
            ("prompt_versions", &["publisher_kind", "publisher_id"]),
            ("service_accounts", &["created_by_kind", "created_by_id"]),
        ],
    },
    Collected {
        what: "Who changed what, by random id",
        why: "so that changes can be accounted for",
        until: FOR_GOOD,
        kept: Kept::Clear,
        places: &[("audit", &["body", "target"])],
    },
    Collected {
        what: "Address and user agent of who changed something",
        why: "to tell misuse of an account",
        until: "`retention.audit_personal_days` (365 unless set), or until the person is erased; not collected of people who opted out",
        kept: Kept::Sealed,
        places: &[("audit_personal", &["at", "key_kind", "key_owner", "sealed"])],
    },
    Collected {
        what: "Address, and class of the user agent, of calls with a key",
        why: "to tell from where a leaked key was used",
        until: ACCESS,
        kept: Kept::Clear,
        places: &[
            ("ledger", &["address", "agent"]),
            ("last_used", &["at", "address", "agent"]),
            ("key_origins", &["network", "first_at", "last_at"]),
        ],
    },
    Collected {
        what: "Where somebody is signed in: how, since when, last used, kind of program such as `Firefox on Linux`",
        why: "to let people see and end their sessions",
        until: "the session ends, or the person is erased; the program is not collected of people who opted out",
        kept: Kept::Clear,
        places: &[("sessions", &["id", "user_id", "method", "agent", "created_at", "last_seen_at", "authenticated_at"])],
    },
    Collected {
        what: "Who is invited where, by whom, by random ids",
        why: "to let people join",
        until: "the invitation is accepted, withdrawn or over, or the person is erased",
        kept: Kept::Clear,
        places: &[("invitations", &["id", "workspace", "user_id", "digest", "role", "narrowed_to", "inviter_kind", "inviter_id", "inviter_membership", "created_at", "sent_at", "expires_at"])],
    },
    Collected {
        what: "Links to a new password, and recovery codes, as digests",
        why: "to let people in who lost a password or a second factor",
        until: "they are used or over, or the person is erased",
        kept: Kept::Digest,
        places: &[("recoveries", &["user_id", "digest", "expires_at"]), ("recovery_codes", &["user_id", "digest"])],
    },
    Collected {
        what: "By which identity provider somebody signs in, as a digest of provider and subject",
        why: "to find whoever signs in by it",
        until: UNTIL_ERASED,
        kept: Kept::Digest,
        places: &[("identities", &["identity", "user_id", "created_at"])],
    },
    Collected {
        what: "Secret of a second factor",
        why: "to check its codes",
        until: "it is switched off, or the person is erased",
        kept: Kept::Sealed,
        places: &[("second_factors", &["user_id", "sealed", "created_at", "enabled_at", "last_step"])],
    },
    Collected {
        what: "Digest of a session's token",
        why: "to know whose session it is",
        until: "the session ends, or the person is erased",
        kept: Kept::Digest,
        places: &[("sessions", &["digest"])],
    },
    Collected {
        what: "Failed attempts to sign in, by digests of account and address",
        why: "to lock out whoever guesses",
        until: "about a day",
        kept: Kept::Digest,
        places: &[("attempts", &["subject", "failures", "last_at", "locked_until"])],
    },
    Collected {
        what: "What a person chose: opt-out of collection",
        why: "to go by it",
        until: UNTIL_ERASED,
        kept: Kept::Clear,
        places: &[("opt_outs", &["person", "at"])],
    },
    Collected {
        what: "What a person consented to",
        why: "to be able to show it",
        until: UNTIL_ERASED,
        kept: Kept::Clear,
        places: &[("consents", &["person", "number", "name", "version", "given_at", "withdrawn_at"])],
    },
    Collected {
        what: "Keys that personal data is sealed under, themselves encrypted",
        why: "to open it",
        until: "until the person is erased, or retention has passed",
        kept: Kept::Sealed,
        places: &[("data_keys", &["kind", "owner", "kek", "wrapped"])],
    },
    Collected {
        what: "Who repeated a call, by random id",
        why: "so that a repeat has no second effect",
        until: "a day",
        kept: Kept::Clear,
        places: &[("idempotency", &["actor"])],
    },
];

/// Tables of which no other column tells anything of a person.
pub const NOT_PERSONAL: &[(&str, &str)] = &[
    ("plans", "sets of limits"),
    ("permissions", "names of permissions"),
    ("workspaces", "tenants, not people"),
    ("workspace_slugs", "names of tenants"),
    ("memberships", "of the rest, which workspace it is"),
    ("service_accounts", "accounts that are no people; the e-mail is an identity of that form"),
    ("operators", "credentials; the name is what the operator calls one"),
    (
        "keys",
        "credentials of applications; names and purposes are free text, in which nobody should be named",
    ),
    ("secrets", "digests of credentials"),
    ("incidents", "what became of keys; reasons are free text, in which nobody should be named"),
    ("prompts", "contents of the workspace"),
    ("prompt_versions", "contents of the workspace"),
    ("context_items", "contents of the workspace"),
    ("context_chunks", "contents of the workspace"),
    ("changes", "which entity changed, by number"),
    ("audit", "hashes and names of actions"),
    ("audit_personal", "the entry's number"),
    ("checkpoints", "signatures of the installation"),
    ("idempotency", "what was asked, as a digest, and what came of it, by id"),
    ("usage_batches", "which counts were added"),
    ("usage_minute", "sums by key"),
    ("usage_hour", "sums by key"),
    ("usage_day", "sums by key"),
    ("usage_workspace_minute", "sums by workspace"),
    ("usage_workspace_hour", "sums by workspace"),
    ("usage_workspace_day", "sums by workspace"),
    ("last_used", "which key"),
    ("ledger", "which key, when, which route, what came of it"),
    ("key_origins", "which key, how often"),
    ("credit_accounts", "balances; the subject is the operator's own name for a customer"),
    ("credit_slices", "balances"),
    ("credit_reservations", "balances"),
];

/// What is wrong with the lists: columns that are in neither, and places that do not exist.
pub fn problems() -> Vec<String> {
    let named = |table: &str, column: &str| {
        COLLECTED
            .iter()
            .flat_map(|collected| collected.places)
            .filter(|(place, columns)| *place == table && columns.contains(&column))
            .count()
    };
    let mut problems = Vec::new();
    for table in TABLES {
        let rest_is_plain = NOT_PERSONAL.iter().any(|(plain, _)| *plain == table.name);
        for column in table.columns {
            match (named(table.name, column.name), rest_is_plain) {
                (0, false) => problems.push(format!("{}.{} is in no list", table.name, column.name)),
                (0 | 1, _) => {}
                _ => problems.push(format!("{}.{} is listed twice", table.name, column.name)),
            }
        }
    }
    let exists = |table: &str, column: Option<&str>| {
        TABLES.iter().any(|known| {
            let has = |name: &str| known.columns.iter().any(|known| known.name == name);
            known.name == table && column.is_none_or(has)
        })
    };
    for (table, columns) in COLLECTED.iter().flat_map(|collected| collected.places) {
        let missing = columns.iter().filter(|column| !exists(table, Some(column)));
        problems.extend(missing.map(|column| format!("there is no {table}.{column}")));
    }
    let missing = NOT_PERSONAL.iter().filter(|(table, _)| !exists(table, None));
    problems.extend(missing.map(|(table, _)| format!("there is no table {table}")));
    problems
}

/// The page, in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# What is collected\n\n\
         Everything that Keywright keeps of people, why, and for how long. This page is made of the schema of the database: a column\n\
         that holds personal data cannot be added without a row here. `GET /v1/privacy/collected` answers the same as JSON.\n\n\
         | what | why | how long | how | where |\n|---|---|---|---|---|\n",
    );
    for collected in COLLECTED {
        let Collected { what, why, until, kept, places } = collected;
        let places: Vec<String> = places
            .iter()
            .map(|(table, columns)| {
                let columns: Vec<_> = columns.iter().map(|column| format!("`{column}`")).collect();
                format!("`{table}`: {}", columns.join(", "))
            })
            .collect();
        let row = [what, why, until, kept.as_str(), &places.join("; ")].join(" | ");
        page.extend(["| ", &row, " |\n"]);
    }
    page +=
        "\nNothing else that tells of a person is in the database:\n\n| table | what is in it |\n|---|---|\n";
    for (table, what) in NOT_PERSONAL {
        page.extend(["| `", table, "` | ", what, " |\n"]);
    }
    page += "\nOutside of the database: log lines hold no names, addresses of people or secrets; the security event log \
             ([guide](guides/security-events.md)), where one\nis configured, holds addresses until you delete it, unless \
             `security_events.addresses` is `false`. Keywright sends nothing anywhere by itself.\n";
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_accounted_for() {
        assert_eq!(problems(), Vec::<String>::new());
    }
}
