/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers of 64 bits.
    Integer,
    /// Text in UTF-8, ordered by its bytes.
    Text,
    /// Bytes.
    Blob,
    /// Yes or no.
    Boolean,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in every store.
    pub name: &'static str,
    /// What it holds, if it is not null.
    pub kind: Kind,
}

/// A table that goes along when an installation moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name in every store.
    pub name: &'static str,
    /// Its columns, those of the key first.
    pub columns: &'static [Column],
    /// How many columns the key has. None of them is null.
    pub key_columns: usize,
}

impl Table {
    /// The table with this name.
    ///
    /// # Panics
    /// There is none.
    pub fn named(name: &str) -> &'static Self {
        TABLES.iter().find(|table| table.name == name).expect("a table of the list")
    }

    /// The columns of the key.
    pub fn key(&self) -> &'static [Column] {
        &self.columns[..self.key_columns]
    }

    /// The names of all columns, with commas between them.
    pub fn column_list(&self) -> String {
        names(self.columns)
    }

    /// The names of the key's columns, with commas between them.
    pub fn key_list(&self) -> String {
        names(self.key())
    }
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// The list of tables: name, number of key columns, columns.
macro_rules! tables {
    ($($table:ident [$key:literal] { $($column:ident : $kind:ident),+ $(,)? })+) => {
        /// All tables that go along when an installation moves, those that others refer to first. Every store has them, by
        /// these names; a test of each store fails when it has a table or a column that is in no list here.
        pub const TABLES: &[Table] = &[$(Table {
            name: stringify!($table),
            columns: &[$(Column { name: stringify!($column), kind: Kind::$kind }),+],
            key_columns: $key,
        }),+];
    };
}

#[rustfmt::skip]
tables! {
    plans[1] { name: Text, description: Text, key_limits: Text, workspace_limits: Text }
    permissions[1] { bit: Integer, name: Text, description: Text }
    workspaces[1] { number: Integer, id: Blob, slug: Text, name: Text, plan: Text, policy: Text, suspended_at: Integer, created_at: Integer, key_count: Integer, deleted_at: Integer, purge_at: Integer, purged_at: Integer }
    workspace_slugs[1] { slug: Text, workspace: Integer }
    data_keys[2] { kind: Integer, owner: Blob, kek: Integer, wrapped: Blob }
    users[1] { id: Blob, password_hash: Text, created_at: Integer, email_index: Blob, sealed: Blob }
    identities[1] { identity: Blob, user_id: Blob, created_at: Integer }
    memberships[1] { number: Integer, workspace: Integer, principal_kind: Integer, principal_id: Blob, role: Integer, narrowed_to: Blob, created_at: Integer, ended_at: Integer, disabled_at: Integer }
    opt_outs[1] { person: Blob, at: Integer }
    consents[2] { person: Blob, number: Integer, name: Text, version: Text, given_at: Integer, withdrawn_at: Integer }
    service_accounts[1] { membership: Integer, id: Blob, workspace: Integer, name: Text, email: Text, purpose: Text, owning_team: Text, created_by_kind: Integer, created_by_id: Blob, created_at: Integer, deleted_at: Integer }
    sessions[1] { id: Blob, user_id: Blob, digest: Blob, method: Integer, agent: Text, created_at: Integer, last_seen_at: Integer, authenticated_at: Integer }
    attempts[1] { subject: Blob, failures: Integer, last_at: Integer, locked_until: Integer }
    invitations[1] { id: Blob, workspace: Integer, user_id: Blob, digest: Blob, role: Integer, narrowed_to: Blob, inviter_kind: Integer, inviter_id: Blob, inviter_membership: Integer, created_at: Integer, sent_at: Integer, expires_at: Integer }
    recoveries[1] { user_id: Blob, digest: Blob, expires_at: Integer }
    second_factors[1] { user_id: Blob, sealed: Blob, created_at: Integer, enabled_at: Integer, last_step: Integer }
    recovery_codes[2] { user_id: Blob, digest: Blob }
    operators[1] { number: Integer, id: Blob, name: Text, secret_id: Blob, locator: Text, hint: Text, pepper: Integer, digest: Blob, created_at: Integer, revoked_at: Integer }
    keys[1] { number: Integer, id: Blob, workspace: Integer, environment: Integer, permissions: Blob, creator_kind: Integer, creator_id: Blob, membership: Integer, created_at: Integer, expires_at: Integer, disabled_at: Integer, revoked_at: Integer, deleted_at: Integer, limits: Text, networks: Text, external_id: Text, metadata: Text, name: Text, purpose: Text, revoked_reason: Text, enabled_at: Integer }
    secrets[2] { key: Integer, ordinal: Integer, id: Blob, locator: Text, pepper: Integer, digest: Blob, created_at: Integer, expires_at: Integer, retired_at: Integer, hint: Text }
    incidents[1] { number: Integer, id: Blob, workspace: Integer, key: Blob, reason: Text, opened_at: Integer }
    prompts[1] { id: Blob, workspace: Integer, slug: Text, content: Text, context: Text, revision: Integer, published: Integer, latest: Integer, creator_kind: Integer, creator_id: Blob, created_at: Integer, updated_at: Integer, archived_at: Integer }
    prompt_versions[2] { prompt: Blob, number: Integer, content: Text, context: Text, published_at: Integer, publisher_kind: Integer, publisher_id: Blob, archived_at: Integer }
    context_items[1] { id: Blob, prompt: Blob, workspace: Integer, label: Text, item: Text, size: Integer, created_at: Integer }
    context_chunks[2] { item: Blob, position: Integer, bytes: Blob }
    changes[1] { sequence: Integer, kind: Integer, restricting: Boolean, number: Integer, name: Text }
    audit[1] { sequence: Integer, hash: Blob, workspace: Integer, action: Text, target: Text, body: Blob }
    audit_personal[1] { sequence: Integer, at: Integer, key_kind: Integer, key_owner: Blob, sealed: Blob }
    checkpoints[1] { sequence: Integer, hash: Blob, at: Integer, public_key: Blob, signature: Blob }
    idempotency[2] { actor: Text, key: Text, fingerprint: Blob, target: Text, hint: Text, created_at: Integer }
    usage_batches[2] { incarnation: Blob, batch: Integer, rows_added: Integer }
    usage_minute[3] { key: Integer, bucket: Integer, code: Integer, count: Integer, cost: Integer }
    usage_hour[3] { key: Integer, bucket: Integer, code: Integer, count: Integer, cost: Integer }
    usage_day[3] { key: Integer, bucket: Integer, code: Integer, count: Integer, cost: Integer }
    usage_workspace_minute[3] { workspace: Integer, bucket: Integer, code: Integer, count: Integer, cost: Integer }
    usage_workspace_hour[3] { workspace: Integer, bucket: Integer, code: Integer, count: Integer, cost: Integer }
    usage_workspace_day[3] { workspace: Integer, bucket: Integer, code: Integer, count: Integer, cost: Integer }
    last_used[2] { key: Integer, secret_ordinal: Integer, at: Integer, address: Blob, agent: Integer }
    credit_accounts[1] { id: Blob, workspace: Blob, subject: Text, balance: Integer, held: Integer, reserved: Integer, spent: Integer, granted: Integer, refill_amount: Integer, refill_seconds: Integer, refill_cap: Integer, refill_due: Integer, created_at: Integer }
    credit_slices[1] { id: Blob, account: Blob, units: Integer, drawn_at: Integer }
    credit_reservations[1] { id: Blob, account: Blob, amount: Integer, state: Integer, spent: Integer, created_at: Integer, expires_at: Integer, settled_at: Integer }
    ledger[7] { key: Integer, minute: Integer, secret_ordinal: Integer, address: Blob, route: Text, code: Integer, agent: Integer, count: Integer }
    key_origins[2] { key: Integer, network: Blob, first_at: Integer, last_at: Integer, accepted: Integer, refused: Integer }
}

/// Tables that stay behind, and why.
pub const STAYING_TABLES: &[(&str, &str)] = &[
    ("migrations", "each store has steps of its own"),
    ("probe", "written to find out whether the disk can be written"),
    ("head", "the last numbers given out: the target finds them in the tables"),
    ("nodes", "the processes of the source"),
    ("secret_checks", "noted by the first node that starts on the target"),
    (
        "limit_windows",
        "what nodes have drawn of limits; an embedded database restores its windows from usage",
    ),
    ("limit_drains", "what nodes have drawn of limits"),
    (super::UNFINISHED_TABLE, "of the transfer itself"),
    (super::FINISHED_TABLE, "of the transfer itself"),
    (super::MOVED_TABLE, "of the transfer itself"),
];

/// Columns that one store has beside those of the list, made from them: table, column.
pub const DERIVED_COLUMNS: &[(&str, &str)] = &[("keys", "name_folded"), ("audit", "id")];

/// Tables whose rows go when a workspace is purged, found by the number of one of its keys.
pub const PURGED_BY_KEY: &[&str] =
    &["secrets", "usage_minute", "usage_hour", "usage_day", "last_used", "ledger", "key_origins"];

/// Tables whose rows go when a workspace is purged, found by its own number.
pub const PURGED_BY_WORKSPACE: &[&str] = &[
    "incidents",
    "workspace_slugs",
    "service_accounts",
    "invitations",
    "context_chunks",
    "context_items",
    "prompt_versions",
    "prompts",
    "usage_workspace_minute",
    "usage_workspace_hour",
    "usage_workspace_day",
];

/// Tables that name workspaces or keys and whose rows stay when a workspace is purged, and why.
pub const KEPT_BY_PURGE: &[(&str, &str)] = &[
    ("keys", "emptied: numbers are never used again, and the audit trail goes on naming their ids"),
    ("memberships", "ended: numbers are never used again; who a member was is erased with the person"),
    (
        "credit_accounts",
        "what was granted and spent stays for the operator's books; whose it was is forgotten",
    ),
    ("audit", "the chain must verify; what is personal in it follows the retention settings"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A new table with a column for a workspace, a key, a prompt or a context item must say what becomes of it.
    #[test]
    fn a_purge_knows_every_table() {
        for table in TABLES {
            let has = |name: &str| table.columns.iter().any(|column| column.name == name);
            // An idempotency record's key is no key of a workspace.
            let names_one = ["workspace", "key", "prompt", "item"].into_iter().any(has);
            let names_one = names_one && table.name != "idempotency";
            let listed = [
                PURGED_BY_KEY.contains(&table.name),
                PURGED_BY_WORKSPACE.contains(&table.name),
                KEPT_BY_PURGE.iter().any(|(kept, _)| *kept == table.name),
            ];
            let count = listed.iter().filter(|is_listed| **is_listed).count();
            assert_eq!(count, usize::from(names_one), "{}", table.name);
        }
    }
}
