//! Usage: rollups, last use, the access ledger.

macro_rules! add_to {
    ($table:literal, $owner:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " AS t (",
            $owner,
            ", bucket, code, count, cost) \
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
             ON CONFLICT (",
            $owner,
            ", bucket, code) DO UPDATE SET count = t.count + excluded.count, \
             cost = t.cost + excluded.cost"
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
            " = $1 AND bucket >= $2 \
             AND bucket < $3 ORDER BY bucket, code"
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
    RECENT_COST = "SELECT key, bucket, cost FROM usage_minute \
                   WHERE bucket >= $1 AND code = 0 AND cost > 0";
    /// The workspaces of keys.
    WORKSPACES_OF = "SELECT number, workspace FROM keys WHERE number = ANY($1)";
    /// The workspace of a key.
    WORKSPACE_OF = "SELECT workspace FROM keys WHERE number = $1";
    /// Later uses of secrets.
    PUT_LAST_USED = "INSERT INTO last_used AS t (key, secret_ordinal, at, address, agent) \
                     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[]) \
                     ON CONFLICT (key, secret_ordinal) DO UPDATE SET at = excluded.at, address = excluded.address, \
                     agent = excluded.agent WHERE excluded.at > t.at";
    /// Adds to what is known of the networks that keys are used from; new networks only while there is room.
    ADD_ORIGINS = "INSERT INTO key_origins AS t (key, network, first_at, last_at, accepted, refused) \
                   SELECT n.key, n.network, n.first_at, n.last_at, n.accepted, n.refused FROM (SELECT u.*, row_number() \
                   OVER (PARTITION BY u.key) AS place FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], \
                   $5::bigint[], $6::bigint[]) AS u (key, network, first_at, last_at, accepted, refused)) n \
                   WHERE EXISTS (SELECT 1 FROM key_origins o WHERE o.key = n.key AND o.network = n.network) \
                   OR (SELECT count(*) FROM key_origins o WHERE o.key = n.key) + n.place <= $7::bigint \
                   ON CONFLICT (key, network) DO UPDATE SET first_at = least(t.first_at, excluded.first_at), \
                   last_at = greatest(t.last_at, excluded.last_at), accepted = t.accepted + excluded.accepted, \
                   refused = t.refused + excluded.refused";
    /// The networks that a key is used from.
    ORIGINS = "SELECT network, first_at, last_at, accepted, refused FROM key_origins WHERE key = $1";
    /// Adds to the access ledger.
    ADD_LEDGER = "INSERT INTO ledger AS t (key, minute, secret_ordinal, address, route, code, agent, count) \
                  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::text[], $6::bigint[], \
                  $7::bigint[], $8::bigint[]) \
                  ON CONFLICT (key, minute, secret_ordinal, address, route, code, agent) \
                  DO UPDATE SET count = t.count + excluded.count";
    /// The access ledger of a key.
    LEDGER = "SELECT minute, secret_ordinal, address, route, code, agent, count FROM ledger \
              WHERE key = $1 AND minute < $2 ORDER BY minute DESC, secret_ordinal DESC, address DESC, route DESC, \
              code DESC, agent DESC LIMIT $3";
    /// A transaction of usage begins.
    BEGIN_BATCH = "INSERT INTO usage_batches (incarnation, batch, rows_added) VALUES ($1, $2, 0) \
                   ON CONFLICT (incarnation, batch) DO NOTHING";
    /// How far a batch was added. Whoever asks is the only one who adds to it.
    BATCH = "SELECT rows_added FROM usage_batches WHERE incarnation = $1 AND batch = $2 FOR UPDATE";
    /// The newest batch of a process.
    NEWEST_BATCH = "SELECT batch FROM usage_batches WHERE incarnation = $1 ORDER BY batch DESC LIMIT 1";
    /// A batch was added up to here.
    PUT_BATCH = "UPDATE usage_batches SET rows_added = $3 WHERE incarnation = $1 AND batch = $2";
    /// Batches that nobody sends again.
    PRUNE_BATCHES = "DELETE FROM usage_batches WHERE incarnation = $1 AND batch < $2";
}
