//! Keys, their secrets, and incidents.

macro_rules! key_columns {
    () => {
        "k.number, k.id, k.workspace, k.environment, k.permissions, k.creator_kind, k.creator_id, k.membership, \
         k.created_at, k.expires_at, k.disabled_at, k.revoked_at, k.deleted_at, k.limits, k.networks, \
         k.external_id, k.metadata, k.name, k.purpose, k.revoked_reason, k.enabled_at"
    };
}

macro_rules! secret_columns {
    () => {
        "s.ordinal, s.id, s.locator, s.pepper, s.digest, s.created_at, s.expires_at, s.retired_at, s.hint"
    };
}

/// When the newest secret that works was issued.
macro_rules! issued_at {
    () => {
        "(SELECT p.created_at FROM secrets p WHERE p.key = k.number AND p.retired_at IS NULL \
         ORDER BY p.ordinal DESC LIMIT 1)"
    };
}

/// When the key was last used.
macro_rules! used_at {
    () => {
        "(SELECT max(u.at) FROM last_used u WHERE u.key = k.number)"
    };
}

/// Whether rotation is due.
macro_rules! is_due {
    () => {
        concat!(
            "coalesce(",
            issued_at!(),
            " <= CASE k.environment WHEN 0 THEN ?11 WHEN 1 THEN ?12 WHEN 2 THEN ?13 ELSE ?14 END, 0)"
        )
    };
}

/// Whether the key's time is over: by its own end, by the longest life that the workspace allows, by an enforced rotation.
macro_rules! is_over {
    () => {
        concat!(
            "(coalesce(k.expires_at <= ?9, 0) OR coalesce(k.created_at <= ?21, 0) OR (?22 AND ",
            is_due!(),
            "))"
        )
    };
}

/// Newest first; every page statement takes the same parameters, see `read::keys`.
macro_rules! page_condition {
    () => {
        concat!(
            "k.deleted_at IS NULL AND k.workspace = ?1 AND k.number < ?2 \
             AND (?3 IS NULL OR k.environment = ?3) \
             AND (?4 IS NULL OR (k.creator_kind = ?4 AND k.creator_id = ?5)) \
             AND (?6 IS NULL OR contains_ignoring_case(k.name, ?6)) \
             AND (?7 IS NULL OR coalesce(",
            used_at!(),
            ", k.created_at) < ?7) \
             AND (?8 IS NULL OR ?8 = CASE WHEN k.revoked_at IS NOT NULL THEN 3 WHEN k.disabled_at IS NOT NULL THEN 1 \
                  WHEN ",
            is_over!(),
            " THEN 2 ELSE 0 END) \
             AND (?10 IS NULL OR ?10 = (k.revoked_at IS NULL AND ",
            is_due!(),
            ")) \
             AND (?16 IS NULL OR k.external_id = ?16) \
             AND (?17 IS NULL OR EXISTS (SELECT 1 FROM secrets l WHERE l.locator = ?17 AND l.key = k.number)) \
             AND (?18 = 0 OR k.revoked_at IS NULL) \
             AND (?19 IS NULL OR ?19 = (k.revoked_at IS NULL AND k.disabled_at IS NULL AND NOT ",
            is_over!(),
            " AND coalesce(max(k.created_at, coalesce(k.enabled_at, k.created_at), coalesce(",
            issued_at!(),
            ", k.created_at), coalesce(",
            used_at!(),
            ", k.created_at)) <= ?20, 0))) \
             AND (?23 IS NULL OR ?23 = EXISTS (SELECT 1 FROM memberships o WHERE o.number = k.membership \
                  AND o.ended_at IS NOT NULL)) \
             ORDER BY k.number DESC LIMIT ?15"
        )
    };
}

statements! {
    /// The newest number.
    LAST_NUMBER = "SELECT max(number) FROM keys";
    /// A key by id.
    BY_ID = concat!("SELECT ", key_columns!(), " FROM keys k WHERE k.id = ?1");
    /// A key by number.
    BY_NUMBER = concat!("SELECT ", key_columns!(), " FROM keys k WHERE k.number = ?1");
    /// Where a page continues.
    NUMBER_OF = "SELECT number FROM keys WHERE id = ?1 AND workspace = ?2";
    /// A page of a workspace's keys.
    PAGE = concat!(
        "SELECT ", key_columns!(), " FROM keys k INDEXED BY keys_workspace WHERE ", page_condition!()
    );
    /// A page of a workspace's keys with one external id.
    PAGE_BY_EXTERNAL_ID = concat!(
        "SELECT ", key_columns!(), " FROM keys k INDEXED BY keys_external_id WHERE k.external_id = ?16 AND ",
        page_condition!()
    );
    /// The key of a workspace with one locator.
    PAGE_BY_LOCATOR = concat!(
        "SELECT ", key_columns!(), " FROM secrets s INDEXED BY secrets_locator CROSS JOIN keys k ON k.number = s.key \
         WHERE s.locator = ?17 AND ", page_condition!()
    );
    /// The verification state of the keys in a range of numbers. The last column but one says that all columns after the
    /// membership are NULL, so that they need not be looked at one by one.
    LOAD = "SELECT k.number, k.id, k.workspace, k.environment, k.permissions, k.creator_kind, k.creator_id, \
            k.membership, k.expires_at, k.disabled_at, k.revoked_at, k.limits, k.networks, k.external_id, k.metadata, \
            coalesce(k.expires_at, k.disabled_at, k.revoked_at, k.limits, k.networks, k.external_id) IS NULL, k.created_at \
            FROM keys k WHERE k.number >= ?1 AND k.number < ?2 AND k.deleted_at IS NULL ORDER BY k.number";
    /// The secrets of the keys in a range of numbers.
    LOAD_SECRETS = "SELECT s.key, s.ordinal, s.id, s.locator, s.pepper, s.digest, s.expires_at, s.retired_at, \
                    s.created_at FROM secrets s WHERE s.key >= ?1 AND s.key < ?2 ORDER BY s.key, s.ordinal";
    /// A new key.
    INSERT = "INSERT INTO keys (number, id, workspace, environment, permissions, creator_kind, creator_id, membership, \
              created_at, expires_at, disabled_at, revoked_at, deleted_at, limits, networks, external_id, metadata, \
              name, purpose, revoked_reason) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
    /// What may change of a key.
    UPDATE = "UPDATE keys SET permissions = ?2, expires_at = ?3, disabled_at = ?4, revoked_at = ?5, deleted_at = ?6, \
              limits = ?7, networks = ?8, external_id = ?9, metadata = ?10, name = ?11, purpose = ?12, \
              revoked_reason = ?13, enabled_at = ?14 WHERE number = ?1";
    /// The secrets of a key, oldest first.
    SECRETS = concat!("SELECT ", secret_columns!(), " FROM secrets s WHERE s.key = ?1 ORDER BY s.ordinal");
    /// A new secret.
    INSERT_SECRET = "INSERT INTO secrets (key, ordinal, id, locator, pepper, digest, created_at, expires_at, \
                     retired_at, hint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    /// What may change of a secret.
    UPDATE_SECRET = "UPDATE secrets SET pepper = ?3, digest = ?4, expires_at = ?5, retired_at = ?6 \
                     WHERE key = ?1 AND ordinal = ?2";
    /// A retired secret is forgotten.
    DELETE_SECRET = "DELETE FROM secrets WHERE key = ?1 AND ordinal = ?2";
    /// When a key's secrets were last used.
    LAST_USED = "SELECT secret_ordinal, at, address, agent FROM last_used WHERE key = ?1 ORDER BY secret_ordinal";
    /// A new incident.
    INSERT_INCIDENT = "INSERT INTO incidents (id, workspace, key, reason, opened_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// Incidents of a workspace.
    INCIDENTS = "SELECT id, key, reason, opened_at FROM incidents WHERE workspace = ?1 ORDER BY number DESC LIMIT ?2";
}
