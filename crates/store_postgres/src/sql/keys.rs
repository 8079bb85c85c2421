//! Keys, their secrets, and incidents.

use super::installation::workspace_columns;

macro_rules! key_columns {
    () => {
        key_columns!("(SELECT w.id FROM workspaces w WHERE w.number = k.workspace)")
    };
    ($workspace_id:literal) => {
        concat!(
            "k.number, k.id, k.workspace, k.environment, k.permissions, k.creator_kind, k.creator_id, k.membership, \
             k.created_at, k.expires_at, k.disabled_at, k.revoked_at, k.deleted_at, k.limits, k.networks, \
             k.external_id, k.metadata, k.name, k.purpose, k.revoked_reason, ",
            $workspace_id,
            ", s.ordinal, s.id, s.locator, s.pepper, s.digest, s.created_at, s.expires_at, s.retired_at, s.hint, k.enabled_at"
        )
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
            " <= CASE k.environment WHEN 0 THEN $11::bigint WHEN 1 THEN $12::bigint \
             WHEN 2 THEN $13::bigint ELSE $14::bigint END, false)"
        )
    };
}

/// Whether the key's time is over: by its own end, by the longest life that the workspace allows, by an enforced rotation.
macro_rules! is_over {
    () => {
        concat!(
            "(coalesce(k.expires_at <= $9::bigint, false) OR coalesce(k.created_at <= $21::bigint, false) \
             OR ($22::boolean AND ",
            is_due!(),
            "))"
        )
    };
}

/// The secrets of a key, looked up for each key: the fence of `OFFSET` keeps the planner, which takes limits that it does
/// not know for large, from reading them all. For the same reason whoever names a key does not say `deleted_at IS NULL`:
/// without statistics, the partial indexes that say so look as if they were nearly empty.
macro_rules! secrets_of_key {
    () => {
        " LEFT JOIN LATERAL (SELECT * FROM secrets f WHERE f.key = k.number OFFSET 0) s ON true "
    };
}

/// Keys with their workspaces, secrets and last uses: a row for each secret with each use, of which there are few.
macro_rules! to_change {
    ($more:literal, $keys:literal) => {
        concat!(
            "SELECT ",
            key_columns!("w.id"),
            ", u.secret_ordinal, u.at, u.address, u.agent, ",
            workspace_columns!(),
            $more,
            " FROM ",
            $keys,
            " LEFT JOIN secrets s ON s.key = k.number LEFT JOIN last_used u ON u.key = k.number "
        )
    };
}

/// Newest first; every page statement takes the same parameters, see `read::keys`.
macro_rules! page {
    ($keys:literal) => {
        concat!(
            "SELECT ", key_columns!(), " FROM (SELECT k.* FROM ", $keys, " k.deleted_at IS NULL AND k.workspace = $1 \
             AND k.number < $2 \
             AND ($3::bigint IS NULL OR k.environment = $3) \
             AND ($4::bigint IS NULL OR (k.creator_kind = $4 AND k.creator_id = $5::bytea)) \
             AND ($6::text IS NULL OR position($6 IN k.name_folded) > 0) \
             AND ($7::bigint IS NULL OR coalesce(", used_at!(), ", k.created_at) < $7) \
             AND ($8::bigint IS NULL OR $8 = CASE WHEN k.revoked_at IS NOT NULL THEN 3 \
                  WHEN k.disabled_at IS NOT NULL THEN 1 WHEN ", is_over!(), " THEN 2 ELSE 0 END) \
             AND ($10::boolean IS NULL OR $10 = (k.revoked_at IS NULL AND ", is_due!(), ")) \
             AND ($16::text IS NULL OR k.external_id = $16) \
             AND ($17::text IS NULL OR EXISTS (SELECT 1 FROM secrets l WHERE l.locator = $17 AND l.key = k.number)) \
             AND (NOT $18::boolean OR k.revoked_at IS NULL) \
             AND ($23::boolean IS NULL OR $23 = EXISTS (SELECT 1 FROM memberships o WHERE o.number = k.membership \
                  AND o.ended_at IS NOT NULL)) \
             AND ($19::boolean IS NULL OR $19 = (k.revoked_at IS NULL AND k.disabled_at IS NULL AND NOT ", is_over!(), " \
                  AND coalesce(greatest(k.created_at, k.enabled_at, ", issued_at!(), ", ", used_at!(), ") <= $20::bigint, \
                  false))) \
             ORDER BY k.number DESC LIMIT $15) k \
             ", secrets_of_key!(), "ORDER BY k.number DESC, s.ordinal"
        )
    };
}

statements! {
    /// Keys by id, deleted or not, with their secrets.
    BY_IDS = concat!(
        "SELECT ", key_columns!(), " FROM keys k", secrets_of_key!(), "WHERE k.id = ANY($1) ORDER BY k.number, s.ordinal"
    );
    /// Keys by id, deleted or not, with their secrets, when these were last used, and their workspaces.
    TO_CHANGE = concat!(
        to_change!("", "keys k JOIN workspaces w ON w.number = k.workspace AND w.purged_at IS NULL"),
        "WHERE k.id = ANY($1) ORDER BY k.number"
    );
    /// The same of one key, and the head of the log at the same moment, also if there is no such key.
    SEE_TO_CHANGE = concat!(
        to_change!(
            ", h.sequence, h.audit_sequence, h.audit_hash, h.last_key, h.last_workspace, h.last_membership, h.generation, \
             h.epoch, h.writes",
            "head h LEFT JOIN (keys k JOIN workspaces w ON w.number = k.workspace AND w.purged_at IS NULL) ON k.id = $1"
        ),
        "WHERE h.id = 1"
    );
    /// A key of a workspace by id, unless it is deleted, with its secrets.
    OF_WORKSPACE = concat!(
        "SELECT ", key_columns!(), " FROM keys k", secrets_of_key!(),
        "WHERE k.id = $1 AND k.workspace = (SELECT w.number FROM workspaces w WHERE w.id = $2) \
         AND coalesce(k.deleted_at, -1) = -1 ORDER BY s.ordinal"
    );
    /// Where a page continues.
    NUMBER_OF = "SELECT k.number FROM keys k JOIN workspaces w ON w.number = k.workspace WHERE k.id = $1 AND w.id = $2";
    /// A page of a workspace's keys.
    PAGE = page!("keys k WHERE");
    /// A page of a workspace's keys with one external id.
    PAGE_BY_EXTERNAL_ID = page!("keys k WHERE k.external_id = $16 AND");
    /// The key of a workspace with one locator.
    PAGE_BY_LOCATOR = page!("keys k WHERE k.number = (SELECT f.key FROM secrets f WHERE f.locator = $17) AND");
    /// The newest number.
    LAST_NUMBER = "SELECT last_key FROM head WHERE id = 1";
    /// The verification state of the keys in a range of numbers with their secrets. The column after the metadata says
    /// that all columns between the membership and it are NULL, so that they need not be looked at one by one.
    LOAD = "SELECT k.number, k.id, k.workspace, k.environment, k.permissions, k.creator_kind, k.creator_id, \
            k.membership, k.expires_at, k.disabled_at, k.revoked_at, k.limits, k.networks, k.external_id, k.metadata, \
            coalesce(k.expires_at::text, k.disabled_at::text, k.revoked_at::text, k.limits, k.networks, k.external_id) \
            IS NULL, s.ordinal, s.id, s.locator, s.pepper, s.digest, s.expires_at, s.retired_at, k.created_at, s.created_at \
            FROM keys k LEFT JOIN secrets s ON s.key = k.number AND s.key >= $1 AND s.key < $2 \
            WHERE k.number >= $1 AND k.number < $2 AND coalesce(k.deleted_at, -1) = -1 ORDER BY k.number, s.ordinal";
    /// The changes after a number, those of keys with what they are about.
    CHANGES_AFTER = concat!(
        "SELECT ", key_columns!(), ", c.sequence, c.kind, c.restricting, c.number, c.name \
         FROM (SELECT * FROM changes WHERE sequence > $1 ORDER BY sequence LIMIT $2) c \
         LEFT JOIN LATERAL (SELECT * FROM keys f WHERE c.kind = 0 AND f.number = c.number \
         AND coalesce(f.deleted_at, -1) = -1 OFFSET 0) k ON true", secrets_of_key!(), "ORDER BY c.sequence, s.ordinal"
    );
    /// A new key.
    INSERT = "INSERT INTO keys (number, id, workspace, environment, permissions, creator_kind, creator_id, membership, \
              created_at, expires_at, disabled_at, revoked_at, deleted_at, limits, networks, external_id, metadata, \
              name, name_folded, purpose, revoked_reason) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
    /// What may change of a key.
    UPDATE = "UPDATE keys SET permissions = $2, expires_at = $3, disabled_at = $4, revoked_at = $5, deleted_at = $6, \
              limits = $7, networks = $8, external_id = $9, metadata = $10, name = $11, name_folded = $12, purpose = $13, \
              revoked_reason = $14, enabled_at = $15 WHERE number = $1";
    /// A new secret.
    INSERT_SECRET = "INSERT INTO secrets (key, ordinal, id, locator, pepper, digest, created_at, expires_at, \
                     retired_at, hint) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    /// What may change of a secret.
    UPDATE_SECRET = "UPDATE secrets SET pepper = $3, digest = $4, expires_at = $5, retired_at = $6 \
                     WHERE key = $1 AND ordinal = $2";
    /// A retired secret is forgotten.
    DELETE_SECRET = "DELETE FROM secrets WHERE key = $1 AND ordinal = $2";
    /// When the secrets of keys were last used.
    LAST_USED = "SELECT key, secret_ordinal, at, address, agent FROM last_used WHERE key = ANY($1) \
                 ORDER BY key, secret_ordinal";
    /// A new incident.
    INSERT_INCIDENT = "INSERT INTO incidents (id, workspace, key, reason, opened_at) VALUES ($1, $2, $3, $4, $5)";
    /// Incidents of a workspace.
    INCIDENTS = "SELECT i.id, i.key, i.reason, i.opened_at FROM incidents i \
                 WHERE i.workspace = (SELECT w.number FROM workspaces w WHERE w.id = $1) ORDER BY i.number DESC LIMIT $2";
}
