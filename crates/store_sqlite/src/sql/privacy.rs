//! What people chose, and how long things are kept.

statements! {
    /// Since when a person is opted out.
    OPTED_OUT = "SELECT at FROM opt_outs WHERE person = ?1";
    /// Everybody who opted out.
    OPT_OUTS = "SELECT person FROM opt_outs WHERE person >= x''";
    /// A person opts out.
    OPT_OUT = "INSERT INTO opt_outs (person, at) VALUES (?1, ?2) ON CONFLICT (person) DO NOTHING";
    /// A person takes it back, or is erased.
    OPT_IN = "DELETE FROM opt_outs WHERE person = ?1";
    /// A person's consents.
    CONSENTS = "SELECT number, name, version, given_at, withdrawn_at FROM consents WHERE person = ?1 ORDER BY number";
    /// A consent is given.
    GIVE_CONSENT = "INSERT INTO consents (person, number, name, version, given_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// A consent ends.
    END_CONSENT = "UPDATE consents SET withdrawn_at = ?3 WHERE person = ?1 AND number = ?2";
    /// The consents of a person go.
    FORGET_CONSENTS = "DELETE FROM consents WHERE person = ?1";
    /// Addresses and user agents beside the audit trail.
    OLD_PERSONAL = "DELETE FROM audit_personal WHERE sequence IN (SELECT sequence FROM audit_personal WHERE at < ?1 ORDER BY at LIMIT ?2)";
    /// Data keys of days that nothing is sealed under any more.
    OLD_DAYS = "DELETE FROM data_keys WHERE kind = 1 AND owner IN (SELECT owner FROM data_keys WHERE kind = 1 AND owner < ?1 LIMIT ?2)";
    /// The access ledger.
    OLD_LEDGER = "DELETE FROM ledger WHERE (key, minute, secret_ordinal, address, route, code, agent) IN (SELECT key, minute, secret_ordinal, address, route, code, agent FROM ledger WHERE key > ?1 AND key <= ?2 AND minute < ?3 LIMIT ?4)";
    /// Networks that keys were used from.
    OLD_ORIGINS = "DELETE FROM key_origins WHERE (key, network) IN (SELECT key, network FROM key_origins WHERE key > ?1 AND key <= ?2 AND last_at < ?3 LIMIT ?4)";
    /// Addresses of last uses.
    OLD_LAST_USED = "UPDATE last_used SET address = NULL WHERE (key, secret_ordinal) IN (SELECT key, secret_ordinal FROM last_used WHERE key > ?1 AND key <= ?2 AND at < ?3 AND address IS NOT NULL LIMIT ?4)";
    /// Usage of keys by minute.
    OLD_MINUTES = "DELETE FROM usage_minute WHERE (key, bucket, code) IN (SELECT key, bucket, code FROM usage_minute WHERE key > ?1 AND key <= ?2 AND bucket < ?3 LIMIT ?4)";
    /// Usage of keys by hour.
    OLD_HOURS = "DELETE FROM usage_hour WHERE (key, bucket, code) IN (SELECT key, bucket, code FROM usage_hour WHERE key > ?1 AND key <= ?2 AND bucket < ?3 LIMIT ?4)";
    /// Usage of workspaces by minute.
    OLD_WORKSPACE_MINUTES = "DELETE FROM usage_workspace_minute WHERE (workspace, bucket, code) IN (SELECT workspace, bucket, code FROM usage_workspace_minute WHERE workspace > ?1 AND workspace <= ?2 AND bucket < ?3 LIMIT ?4)";
    /// Usage of workspaces by hour.
    OLD_WORKSPACE_HOURS = "DELETE FROM usage_workspace_hour WHERE (workspace, bucket, code) IN (SELECT workspace, bucket, code FROM usage_workspace_hour WHERE workspace > ?1 AND workspace <= ?2 AND bucket < ?3 LIMIT ?4)";
}
