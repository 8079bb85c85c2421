//! The change log, the audit trail, idempotency records, and transactions.

statements! {
    /// A group of commands begins.
    BEGIN = "BEGIN IMMEDIATE";
    /// A group of commands is kept.
    COMMIT = "COMMIT";
    /// A group of commands is dropped.
    ROLLBACK = "ROLLBACK";
    /// A command begins.
    SAVEPOINT = "SAVEPOINT command";
    /// A command is kept.
    RELEASE = "RELEASE command";
    /// A command is dropped.
    ROLLBACK_TO = "ROLLBACK TO command";

    /// The head of the change log.
    LAST_CHANGE = "SELECT max(sequence) FROM changes";
    /// A new change.
    INSERT_CHANGE = "INSERT INTO changes (sequence, kind, restricting, number, name) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// Changes after one.
    CHANGES_AFTER = "SELECT sequence, kind, restricting, number, name FROM changes WHERE sequence > ?1 \
                     ORDER BY sequence LIMIT ?2";

    /// The head of the audit trail.
    AUDIT_HEAD = "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1";
    /// A new audit entry.
    INSERT_AUDIT = "INSERT INTO audit (sequence, hash, workspace, action, target, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    /// Its personal data.
    INSERT_PERSONAL = "INSERT INTO audit_personal (sequence, at, key_kind, key_owner, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// Audit entries, oldest first.
    AUDIT_AFTER = "SELECT a.sequence, a.body, a.hash, p.key_kind, p.key_owner, p.sealed, k.kek, k.wrapped FROM audit a \
                   LEFT JOIN audit_personal p ON p.sequence = a.sequence \
                  LEFT JOIN data_keys k ON k.kind = p.key_kind AND k.owner = p.key_owner WHERE a.sequence > ?1 \
                   ORDER BY a.sequence LIMIT ?2";
    /// A page of the installation's trail.
    AUDIT_PAGE = "SELECT a.sequence, a.body, a.hash, p.key_kind, p.key_owner, p.sealed, k.kek, k.wrapped FROM audit a \
                  LEFT JOIN audit_personal p ON p.sequence = a.sequence \
                  LEFT JOIN data_keys k ON k.kind = p.key_kind AND k.owner = p.key_owner WHERE a.sequence < ?1 \
                  AND (?2 IS NULL OR a.workspace = ?2) AND (?3 IS NULL OR a.target = ?3) \
                  AND (?4 IS NULL OR a.action = ?4) ORDER BY a.sequence DESC LIMIT ?5";
    /// A page of a workspace's trail.
    AUDIT_PAGE_OF_WORKSPACE = "SELECT a.sequence, a.body, a.hash, p.key_kind, p.key_owner, p.sealed, k.kek, k.wrapped \
                  FROM audit a INDEXED BY audit_workspace \
                  LEFT JOIN audit_personal p ON p.sequence = a.sequence \
                  LEFT JOIN data_keys k ON k.kind = p.key_kind AND k.owner = p.key_owner WHERE a.workspace = ?2 AND a.sequence < ?1 \
                  AND (?3 IS NULL OR a.target = ?3) AND (?4 IS NULL OR a.action = ?4) \
                  ORDER BY a.sequence DESC LIMIT ?5";
    /// A page of a target's trail.
    AUDIT_PAGE_OF_TARGET = "SELECT a.sequence, a.body, a.hash, p.key_kind, p.key_owner, p.sealed, k.kek, k.wrapped \
                  FROM audit a INDEXED BY audit_target \
                  LEFT JOIN audit_personal p ON p.sequence = a.sequence \
                  LEFT JOIN data_keys k ON k.kind = p.key_kind AND k.owner = p.key_owner WHERE a.target = ?3 AND a.sequence < ?1 \
                  AND (?2 IS NULL OR a.workspace = ?2) AND (?4 IS NULL OR a.action = ?4) \
                  ORDER BY a.sequence DESC LIMIT ?5";
    /// A new checkpoint.
    INSERT_CHECKPOINT = "INSERT INTO checkpoints (sequence, hash, at, public_key, signature) \
                         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (sequence) DO NOTHING";
    /// All checkpoints.
    CHECKPOINTS = "SELECT sequence, hash, at, public_key, signature FROM checkpoints ORDER BY sequence";

    /// An idempotency record.
    IDEMPOTENCY = "SELECT fingerprint, target, hint, created_at FROM idempotency WHERE actor = ?1 AND key = ?2";
    /// A new idempotency record in the place of an expired one.
    PUT_IDEMPOTENCY = "INSERT INTO idempotency (actor, key, fingerprint, target, hint, created_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (actor, key) DO UPDATE SET \
                       fingerprint = excluded.fingerprint, target = excluded.target, hint = excluded.hint, \
                       created_at = excluded.created_at";
    /// Expired idempotency records go, a few at a time.
    PRUNE_IDEMPOTENCY = "DELETE FROM idempotency WHERE (actor, key) IN (SELECT actor, key FROM idempotency \
                         INDEXED BY idempotency_created_at WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)";

    /// A real, tiny write.
    PROBE = "UPDATE probe SET writes = writes + 1 WHERE number = 1";
}
