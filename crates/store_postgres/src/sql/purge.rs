//! Removing what a workspace leaves behind, a bounded number of rows at a time. Each statement tells how many it removed.

macro_rules! of_keys {
    ($table:literal) => {
        concat!(
            "WITH gone AS (DELETE FROM ",
            $table,
            " WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM ",
            $table,
            " t WHERE t.key = ANY($1) LIMIT $2)) RETURNING 1) SELECT count(*) FROM gone"
        )
    };
}

macro_rules! of_workspace {
    ($table:literal) => {
        concat!(
            "WITH gone AS (DELETE FROM ",
            $table,
            " WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM ",
            $table,
            " t WHERE t.workspace = $1 LIMIT $2)) RETURNING 1) SELECT count(*) FROM gone"
        )
    };
}

statements! {
    /// The keys of a workspace in a range of numbers, and whether they were deleted before.
    KEYS_IN_RANGE = "SELECT number, deleted_at IS NOT NULL FROM keys WHERE number > $1 AND number <= $2 \
                     AND workspace + 0 = $3 ORDER BY number";
    /// Secrets.
    SECRETS = of_keys!("secrets");
    /// Usage by minute.
    USAGE_MINUTE = of_keys!("usage_minute");
    /// Usage by hour.
    USAGE_HOUR = of_keys!("usage_hour");
    /// Usage by day.
    USAGE_DAY = of_keys!("usage_day");
    /// Last uses.
    LAST_USED = of_keys!("last_used");
    /// The access ledger.
    LEDGER = of_keys!("ledger");
    /// Networks that keys were used from.
    KEY_ORIGINS = of_keys!("key_origins");
    /// What people wrote into keys; their numbers and ids stay.
    EMPTY_KEYS = "UPDATE keys SET permissions = '', creator_kind = 2, \
                  creator_id = decode('00000000000000000000000000000000', 'hex'), membership = 0, expires_at = NULL, \
                  disabled_at = NULL, enabled_at = NULL, revoked_at = coalesce(revoked_at, $2), \
                  deleted_at = coalesce(deleted_at, $2), limits = NULL, networks = NULL, external_id = NULL, \
                  metadata = NULL, name = '', name_folded = '', purpose = NULL, revoked_reason = NULL WHERE number = ANY($1)";
    /// Incidents.
    INCIDENTS = of_workspace!("incidents");
    /// Slugs that it had before: they are free.
    WORKSPACE_SLUGS = of_workspace!("workspace_slugs");
    /// Service accounts.
    SERVICE_ACCOUNTS = of_workspace!("service_accounts");
    /// Invitations.
    INVITATIONS = of_workspace!("invitations");
    /// Pieces of context files.
    CONTEXT_CHUNKS = "DELETE FROM context_chunks WHERE (item, position) IN (SELECT c.item, c.position \
                      FROM context_items i JOIN context_chunks c ON c.item = i.id WHERE i.workspace = $1 LIMIT $2)";
    /// Context items.
    CONTEXT_ITEMS = of_workspace!("context_items");
    /// Versions of prompts.
    PROMPT_VERSIONS = "DELETE FROM prompt_versions WHERE (prompt, number) IN (SELECT v.prompt, v.number \
                       FROM prompts p JOIN prompt_versions v ON v.prompt = p.id WHERE p.workspace = $1 LIMIT $2)";
    /// Prompts.
    PROMPTS = of_workspace!("prompts");
    /// The workspace's usage by minute.
    USAGE_WORKSPACE_MINUTE = of_workspace!("usage_workspace_minute");
    /// The workspace's usage by hour.
    USAGE_WORKSPACE_HOUR = of_workspace!("usage_workspace_hour");
    /// The workspace's usage by day.
    USAGE_WORKSPACE_DAY = of_workspace!("usage_workspace_day");
    /// Memberships end.
    END_MEMBERSHIPS = "UPDATE memberships SET ended_at = $2 WHERE workspace = $1 AND ended_at IS NULL";
    /// Whose credits they were is forgotten; sums stay.
    EMPTY_CREDIT_ACCOUNTS = "UPDATE credit_accounts SET subject = 'x:' || encode(id, 'hex'), refill_amount = NULL, \
                             refill_seconds = NULL, refill_cap = NULL, refill_due = NULL WHERE workspace = $1";
    /// The workspace itself: its number and id stay, under a name that is no slug.
    EMPTY_WORKSPACE = "UPDATE workspaces SET slug = '#' || number, name = '', plan = $2, policy = $3, key_count = 0, \
                       suspended_at = NULL, purged_at = $4 WHERE number = $1";
}

/// Tables whose rows are found by a key, and the statement that removes some.
pub(crate) const BY_KEY: &[(&str, &str)] = &[
    ("secrets", SECRETS),
    ("usage_minute", USAGE_MINUTE),
    ("usage_hour", USAGE_HOUR),
    ("usage_day", USAGE_DAY),
    ("last_used", LAST_USED),
    ("ledger", LEDGER),
    ("key_origins", KEY_ORIGINS),
];

/// Tables whose rows are found by the workspace, and the statement that removes some.
pub(crate) const BY_WORKSPACE: &[(&str, &str)] = &[
    ("incidents", INCIDENTS),
    ("workspace_slugs", WORKSPACE_SLUGS),
    ("service_accounts", SERVICE_ACCOUNTS),
    ("invitations", INVITATIONS),
    ("context_chunks", CONTEXT_CHUNKS),
    ("context_items", CONTEXT_ITEMS),
    ("prompt_versions", PROMPT_VERSIONS),
    ("prompts", PROMPTS),
    ("usage_workspace_minute", USAGE_WORKSPACE_MINUTE),
    ("usage_workspace_hour", USAGE_WORKSPACE_HOUR),
    ("usage_workspace_day", USAGE_WORKSPACE_DAY),
];

#[cfg(test)]
mod tests {
    use keywright_domain::transfer::{PURGED_BY_KEY, PURGED_BY_WORKSPACE};

    use super::*;

    #[test]
    fn every_table_that_has_to_is_emptied() {
        let names = |list: &[(&'static str, &str)]| list.iter().map(|(table, _)| *table).collect::<Vec<_>>();
        assert_eq!((names(BY_KEY), names(BY_WORKSPACE)), (PURGED_BY_KEY.into(), PURGED_BY_WORKSPACE.into()));
    }
}
