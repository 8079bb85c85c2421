//! Usage: rollups, last use, the access ledger.

macro_rules! add_to {
    ($table:literal, $owner:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (",
            $owner,
            ", bucket, code, count, cost) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (",
            $owner,
            ", bucket, code) DO UPDATE SET count = count + excluded.count, \
             cost = cost + excluded.cost"
        )
    };
}

macro_rules! read_from {
    ($table:literal, $owner:literal) => {
        concat!(
            "SELECT bucket, code, count, cost FROM ",
            $table,
            " WHERE ",
            $owner,
            " = ?1 AND bucket >= ?2 \
             AND bucket < ?3 ORDER BY bucket, code"
        )
    };
}

statements! {
    /// Adds to a key's minute.
    ADD_MINUTE = add_to!("usage_minute", "key");
    /// Adds to a key's hour.
    ADD_HOUR = add_to!("usage_hour", "key");
    /// Adds to a key's day.
    ADD_DAY = add_to!("usage_day", "key");
    /// Adds to a workspace's minute.
    ADD_WORKSPACE_MINUTE = add_to!("usage_workspace_minute", "workspace");
    /// Adds to a workspace's hour.
    ADD_WORKSPACE_HOUR = add_to!("usage_workspace_hour", "workspace");
    /// Adds to a workspace's day.
    ADD_WORKSPACE_DAY = add_to!("usage_workspace_day", "workspace");
    /// A key's minutes.
    MINUTES = read_from!("usage_minute", "key");
    /// A key's hours.
    HOURS = read_from!("usage_hour", "key");
    /// A key's days.
    DAYS = read_from!("usage_day", "key");
    /// A workspace's minutes.
    WORKSPACE_MINUTES = read_from!("usage_workspace_minute", "workspace");
    /// A workspace's hours.
    WORKSPACE_HOURS = read_from!("usage_workspace_hour", "workspace");
    /// A workspace's days.
    WORKSPACE_DAYS = read_from!("usage_workspace_day", "workspace");
    /// Cost of accepted calls since a minute.
    RECENT_COST = "SELECT key, bucket, cost FROM usage_minute INDEXED BY usage_minute_bucket \
                   WHERE bucket >= ?1 AND code = 0 AND cost > 0";
    /// The workspace of a key.
    WORKSPACE_OF = "SELECT workspace FROM keys WHERE number = ?1";
    /// A later use of a secret.
    PUT_LAST_USED = "INSERT INTO last_used (key, secret_ordinal, at, address, agent) VALUES (?1, ?2, ?3, ?4, ?5) \
                     ON CONFLICT (key, secret_ordinal) DO UPDATE SET at = excluded.at, address = excluded.address, \
                     agent = excluded.agent WHERE excluded.at > at";
    /// Adds to what is known of a network that a key is used from; a new network only while there is room.
    ADD_ORIGIN = "INSERT INTO key_origins (key, network, first_at, last_at, accepted, refused) \
                  SELECT ?1, ?2, ?3, ?4, ?5, ?6 \
                  WHERE EXISTS (SELECT 1 FROM key_origins o WHERE o.key = ?1 AND o.network = ?2) \
                  OR (SELECT count(*) FROM key_origins o WHERE o.key = ?1) < ?7 \
                  ON CONFLICT (key, network) DO UPDATE SET first_at = min(first_at, excluded.first_at), \
                  last_at = max(last_at, excluded.last_at), accepted = accepted + excluded.accepted, \
                  refused = refused + excluded.refused";
    /// The networks that a key is used from.
    ORIGINS = "SELECT network, first_at, last_at, accepted, refused FROM key_origins WHERE key = ?1";
    /// Adds to the access ledger.
    ADD_LEDGER = "INSERT INTO ledger (key, minute, secret_ordinal, address, route, code, agent, count) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                  ON CONFLICT (key, minute, secret_ordinal, address, route, code, agent) \
                  DO UPDATE SET count = count + excluded.count";
    /// The access ledger of a key.
    LEDGER = "SELECT minute, secret_ordinal, address, route, code, agent, count FROM ledger \
              WHERE key = ?1 AND minute < ?2 ORDER BY minute DESC, secret_ordinal DESC, address DESC, route DESC, \
              code DESC, agent DESC LIMIT ?3";
    /// How far a batch was added.
    BATCH = "SELECT rows_added FROM usage_batches WHERE incarnation = ?1 AND batch = ?2";
    /// The newest batch of a process.
    NEWEST_BATCH = "SELECT batch FROM usage_batches WHERE incarnation = ?1 ORDER BY batch DESC LIMIT 1";
    /// A batch was added up to here.
    PUT_BATCH = "INSERT INTO usage_batches (incarnation, batch, rows_added) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (incarnation, batch) DO UPDATE SET rows_added = excluded.rows_added";
    /// Batches that nobody sends again.
    PRUNE_BATCHES = "DELETE FROM usage_batches WHERE incarnation = ?1 AND batch < ?2";
}
