//! What people chose, and how long things are kept.

statements! {
    /// Since when a person is opted out.
    OPTED_OUT = "SELECT at FROM opt_outs WHERE person = $1";
    /// Everybody who opted out.
    OPT_OUTS = "SELECT person FROM opt_outs WHERE person >= '\\x'::bytea";
    /// A person opts out.
    OPT_OUT = "INSERT INTO opt_outs (person, at) VALUES ($1, $2) ON CONFLICT (person) DO NOTHING";
    /// A person takes it back, or is erased.
    OPT_IN = "DELETE FROM opt_outs WHERE person = $1";
    /// A person's consents.
    CONSENTS = "SELECT number, name, version, given_at, withdrawn_at FROM consents WHERE person = $1 ORDER BY number";
    /// A consent is given.
    GIVE_CONSENT = "INSERT INTO consents (person, number, name, version, given_at) VALUES ($1, $2, $3, $4, $5)";
    /// A consent ends.
    END_CONSENT = "UPDATE consents SET withdrawn_at = $3 WHERE person = $1 AND number = $2";
    /// The consents of a person go.
    FORGET_CONSENTS = "DELETE FROM consents WHERE person = $1";
    /// Addresses and user agents beside the audit trail.
    OLD_PERSONAL = "WITH gone AS (DELETE FROM audit_personal WHERE sequence = ANY(ARRAY(SELECT p.sequence FROM audit_personal p WHERE p.at < $1 ORDER BY p.at LIMIT $2)) RETURNING 1) SELECT count(*) FROM gone";
    /// Data keys of days that nothing is sealed under any more.
    OLD_DAYS = "WITH gone AS (DELETE FROM data_keys WHERE kind = 1 AND owner = ANY(ARRAY(SELECT k.owner FROM data_keys k WHERE k.kind = 1 AND k.owner < $1 LIMIT $2)) RETURNING 1) SELECT count(*) FROM gone";
    /// The access ledger.
    OLD_LEDGER = "WITH gone AS (DELETE FROM ledger WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM ledger t WHERE t.key > $1 AND t.key <= $2 AND t.minute < $3 LIMIT $4)) RETURNING 1) SELECT count(*) FROM gone";
    /// Networks that keys were used from.
    OLD_ORIGINS = "WITH gone AS (DELETE FROM key_origins WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM key_origins t WHERE t.key > $1 AND t.key <= $2 AND t.last_at < $3 LIMIT $4)) RETURNING 1) SELECT count(*) FROM gone";
    /// Addresses of last uses.
    OLD_LAST_USED = "WITH emptied AS (UPDATE last_used SET address = NULL WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM last_used t WHERE t.key > $1 AND t.key <= $2 AND t.at < $3 AND t.address IS NOT NULL LIMIT $4)) RETURNING 1) SELECT count(*) FROM emptied";
    /// Usage of keys by minute.
    OLD_MINUTES = "WITH gone AS (DELETE FROM usage_minute WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM usage_minute t WHERE t.key > $1 AND t.key <= $2 AND t.bucket < $3 LIMIT $4)) RETURNING 1) SELECT count(*) FROM gone";
    /// Usage of keys by hour.
    OLD_HOURS = "WITH gone AS (DELETE FROM usage_hour WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM usage_hour t WHERE t.key > $1 AND t.key <= $2 AND t.bucket < $3 LIMIT $4)) RETURNING 1) SELECT count(*) FROM gone";
    /// Usage of workspaces by minute.
    OLD_WORKSPACE_MINUTES = "WITH gone AS (DELETE FROM usage_workspace_minute WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM usage_workspace_minute t WHERE t.workspace > $1 AND t.workspace <= $2 AND t.bucket < $3 LIMIT $4)) RETURNING 1) SELECT count(*) FROM gone";
    /// Usage of workspaces by hour.
    OLD_WORKSPACE_HOURS = "WITH gone AS (DELETE FROM usage_workspace_hour WHERE ctid = ANY(ARRAY(SELECT t.ctid FROM usage_workspace_hour t WHERE t.workspace > $1 AND t.workspace <= $2 AND t.bucket < $3 LIMIT $4)) RETURNING 1) SELECT count(*) FROM gone";
}
