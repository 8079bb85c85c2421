//! The head, the change log, the audit trail, idempotency records, and the server's settings.

macro_rules! entries {
    ($order:literal, $condition:literal) => {
        concat!(
            "SELECT a.sequence, a.body, a.hash, p.key_kind, p.key_owner, p.sealed, k.kek, k.wrapped FROM (SELECT * FROM audit a WHERE ",
            $condition,
            " ORDER BY a.sequence ", $order, " LIMIT $3) a \
             LEFT JOIN LATERAL (SELECT * FROM audit_personal f WHERE f.sequence = a.sequence OFFSET 0) p ON true \
             LEFT JOIN LATERAL (SELECT * FROM data_keys d WHERE d.kind = p.key_kind AND d.owner = p.key_owner OFFSET 0) k \
             ON true ORDER BY a.sequence ", $order
        )
    };
}

/// What a group leaves behind: the head, its changes, its audit entries with their personal data. All of it, or nothing where
/// the head is not as the condition says. The rows come from arrays, or there is one each.
macro_rules! write_journal {
    ($condition:literal, $changes:literal, $entries:literal, $personal:literal, $more:expr) => {
        concat!(
            "WITH written AS (\
             UPDATE head SET sequence = $1, audit_sequence = $2, audit_hash = $3, last_key = $4, last_workspace = $5, \
             last_membership = $6, writes = writes + 1 WHERE id = 1",
            $condition,
            " RETURNING 1), \
             logged AS (INSERT INTO changes (sequence, kind, restricting, number, name) ",
            $changes,
            "), \
             entered AS (INSERT INTO audit (sequence, id, hash, workspace, action, target, body) ",
            $entries,
            "), \
             sealed AS (INSERT INTO audit_personal (sequence, at, key_kind, key_owner, sealed) ",
            $personal,
            ")",
            $more
        )
    };
}

statements! {
    /// The head, locked until the transaction ends.
    LOCK_HEAD = "SELECT sequence, audit_sequence, audit_hash, last_key, last_workspace, last_membership, \
                 generation, epoch, writes FROM head WHERE id = 1 FOR UPDATE";
    /// What a group leaves behind, in one statement; and, if the last parameter is not empty, an announcement for whoever follows
    /// the change log.
    WRITE_JOURNAL = write_journal!(
        "",
        "SELECT u.* FROM written, unnest($7::bigint[], $8::bigint[], $9::boolean[], $10::bigint[], $11::text[]) u",
        "SELECT u.* FROM written, unnest($12::bigint[], $13::bytea[], $14::bytea[], $15::bigint[], $16::text[], \
         $17::text[], $18::bytea[]) u",
        "SELECT u.* FROM written, unnest($19::bigint[], $20::bigint[], $21::bigint[], $22::bytea[], $23::bytea[]) u",
        " SELECT max(CASE WHEN $25::text <> '' THEN pg_notify($24::text, $25::text)::text END) FROM written"
    );
    /// One change of one key with its audit entry and its announcement, if nobody has written since the head was seen: a row
    /// says that it was written. A transaction of its own, durable, whatever the session says. Single values take a third
    /// less time than arrays of one.
    WRITE_IF_UNCHANGED = write_journal!(
        " AND writes = $26 AND sequence = $27 AND generation = $28 AND set_config('synchronous_commit', 'on', true) = 'on'",
        "SELECT $7::bigint, $8::bigint, $9::boolean, $10::bigint, $11::text FROM written",
        "SELECT $12::bigint, $13::bytea, $14::bytea, $15::bigint, $16::text, $17::text, $18::bytea FROM written",
        "SELECT $19::bigint, $20::bigint, $21::bigint, $22::bytea, $23::bytea FROM written",
        ", changed AS (UPDATE keys SET permissions = $30, expires_at = $31, disabled_at = $32, revoked_at = $33, \
         deleted_at = $34, limits = $35, networks = $36, external_id = $37, metadata = $38, name = $39, \
         name_folded = $40, purpose = $41, revoked_reason = $42, enabled_at = $43 FROM written WHERE number = $29) \
         SELECT pg_notify($24::text, $25::text)::text FROM written"
    );
    /// A real, tiny write.
    TOUCH_HEAD = "UPDATE head SET writes = writes + 1 WHERE id = 1";
    /// The head of the change log.
    SEQUENCE = "SELECT sequence FROM head WHERE id = 1";
    /// A group of commands is kept.
    COMMIT = "COMMIT";

    /// The head of the audit trail.
    AUDIT_HEAD = "SELECT audit_sequence, audit_hash FROM head WHERE id = 1";
    /// Personal data of audit entries.
    INSERT_PERSONAL = "INSERT INTO audit_personal (sequence, at, key_kind, key_owner, sealed) \
                       SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[])";
    /// How many of these audit entries are there.
    COUNT_AUDIT = "SELECT count(*) FROM audit WHERE id = ANY($1)";
    /// Audit entries, oldest first.
    AUDIT_AFTER = entries!("ASC", "a.sequence > $1 AND ($2::text IS NULL OR a.action = $2)");
    /// A page of the installation's trail.
    AUDIT_PAGE = entries!("DESC", "a.sequence < $1 AND ($2::text IS NULL OR a.action = $2)");
    /// A page of a workspace's trail.
    AUDIT_PAGE_OF_WORKSPACE = entries!(
        "DESC",
        "a.sequence < $1 AND ($2::text IS NULL OR a.action = $2) \
         AND a.workspace = (SELECT w.number FROM workspaces w WHERE w.id = $4)"
    );
    /// A page of a target's trail.
    AUDIT_PAGE_OF_TARGET = entries!(
        "DESC",
        "a.sequence < $1 AND ($2::text IS NULL OR a.action = $2) AND a.target = $5 \
         AND ($4::bytea IS NULL OR a.workspace = (SELECT w.number FROM workspaces w WHERE w.id = $4))"
    );
    /// A new checkpoint.
    INSERT_CHECKPOINT = "INSERT INTO checkpoints (sequence, hash, at, public_key, signature) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sequence) DO NOTHING";
    /// All checkpoints.
    CHECKPOINTS = "SELECT sequence, hash, at, public_key, signature FROM checkpoints ORDER BY sequence";

    /// Idempotency records of callers and their keys.
    IDEMPOTENCY = "SELECT i.actor, i.key, i.fingerprint, i.target, i.hint, i.created_at \
                   FROM unnest($1::text[], $2::text[]) AS a (actor, key) \
                   JOIN idempotency i ON i.actor = a.actor AND i.key = a.key";
    /// A new idempotency record in the place of an expired one.
    PUT_IDEMPOTENCY = "INSERT INTO idempotency (actor, key, fingerprint, target, hint, created_at) \
                       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (actor, key) DO UPDATE SET \
                       fingerprint = excluded.fingerprint, target = excluded.target, hint = excluded.hint, \
                       created_at = excluded.created_at";
    /// Expired idempotency records go, two with each new one, so that the table cannot grow for ever.
    PRUNE_IDEMPOTENCY = "DELETE FROM idempotency WHERE (actor, key) IN (SELECT actor, key FROM idempotency \
                         WHERE created_at <= $1 ORDER BY created_at LIMIT 2)";

    /// What decides whether the server can be used.
    SETTINGS = "SELECT current_setting('server_version_num')::bigint, pg_is_in_recovery(), \
                current_setting('fsync'), current_setting('full_page_writes'), \
                (SELECT system_identifier FROM pg_control_system()), \
                CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";
    /// What the server promises. Whoever may not see how a standby follows, takes it for one that is not waited for.
    DURABILITY = "SELECT current_setting('server_version_num')::bigint, current_setting('fsync'), \
                  current_setting('full_page_writes'), current_setting('synchronous_commit'), \
                  current_setting('synchronous_standby_names'), \
                  (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')), \
                  (SELECT count(*) FROM pg_stat_replication WHERE coalesce(sync_state, 'async') = 'async'), \
                  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), \
                  (SELECT system_identifier FROM pg_control_system())";
}
