//! The statements of the control log.

/// One statement, one snapshot; but the row of the node itself is read as it is after whoever wrote it before, which is
/// what `challenge` is for. Durable, whatever the session says: a server that was deposed cannot commit it.
pub(super) const POLL: &str = "\
WITH renewed AS (
    UPDATE nodes SET renewals = renewals + 1, applied = greatest(applied, $2)
    WHERE incarnation = $1 AND NOT fenced AND set_config('synchronous_commit', 'on', true) = 'on'
    RETURNING challenge, reasserted_generation
)
SELECT (SELECT challenge FROM renewed),
       (SELECT reasserted_generation FROM renewed),
       sequence, stable_sequence, generation, epoch, audit_sequence, audit_hash,
       $3::bigint IS NULL OR EXISTS (SELECT 1 FROM audit WHERE audit.sequence = $3 AND hash = $4),
       NOT EXISTS (SELECT 1 FROM nodes WHERE NOT fenced AND reasserted_generation < generation),
       (SELECT count(*) FROM nodes WHERE NOT fenced),
       pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       (SELECT system_identifier FROM pg_control_system()),
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint
FROM head WHERE id = 1";

/// Acknowledgements may be lost: then a barrier waits longer.
pub(super) const ACKNOWLEDGE: &str = "\
UPDATE nodes SET applied = $2
WHERE incarnation = $1 AND applied < $2 AND set_config('synchronous_commit', 'off', true) = 'off'";

/// Rows of runs that were fenced long ago tell nobody anything.
pub(super) const SWEEP: &str = "\
DELETE FROM nodes
WHERE fenced AND registered_at < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 86400000";

/// A repeated registration finds its own row.
pub(super) const REGISTER: &str = "\
INSERT INTO nodes (name, incarnation, address, version, applied, reasserted_generation, registered_at)
SELECT $1, $2, $3, $4, $5, coalesce($6, generation), (extract(epoch FROM clock_timestamp()) * 1000)::bigint
FROM head WHERE id = 1
ON CONFLICT DO NOTHING";

pub(super) const NODES: &str = "\
SELECT name, incarnation, coalesce(address, ''), coalesce(version, ''), coalesce(applied, 0), renewals, challenge,
       reasserted_generation, fenced
FROM nodes";

/// Waits for a poll of the node that is under way, and then sees what it counted.
pub(super) const CHALLENGE: &str = "\
UPDATE nodes SET challenge = greatest(challenge, $3) WHERE incarnation = $1 AND renewals = $2 RETURNING 1::bigint";

pub(super) const FENCE: &str = "\
UPDATE nodes SET fenced = true WHERE incarnation = $1 AND renewals = $2 RETURNING 1::bigint";

/// A disk that is slow does not hold up who ends. Lost in a crash, the row is back: it is waited for in vain once more.
pub(super) const FORGET: &str = "\
DELETE FROM nodes
WHERE incarnation = $1 AND set_config('synchronous_commit', 'off', true) = 'off'
RETURNING 1::bigint";

/// The numbers of a new history begin far above all that the one before may have given out, so that an acknowledgement
/// from then counts for nothing now, however late it comes.
pub(super) const BEGIN_GENERATION: &str = "\
UPDATE head SET
    generation = generation + 1,
    epoch = $2,
    sequence = CASE WHEN generation = 0 THEN sequence ELSE ((sequence >> 32) + 1) << 32 END
WHERE id = 1 AND generation = $1
RETURNING 1::bigint";

pub(super) const REASSERTED: &str = "\
UPDATE nodes SET reasserted_generation = greatest(reasserted_generation, $2) WHERE incarnation = $1";

/// Never waits for a writer: who cannot note it now notes it the next time.
pub(super) const SETTLE: &str = "\
UPDATE head SET stable_sequence = $1
WHERE id = (SELECT id FROM head WHERE id = 1 FOR UPDATE SKIP LOCKED) AND stable_sequence < $1
  AND set_config('synchronous_commit', 'off', true) = 'off'";

/// Where commits wait for standbys, a server that was deposed would still answer questions, but cannot commit: so the
/// question is one that commits something.
pub(super) const HEAD: &str = "\
SELECT sequence FROM head
WHERE id = 1
  AND CASE WHEN current_setting('synchronous_standby_names') = '' THEN true
           ELSE pg_logical_emit_message(true, 'keywright', '') IS NOT NULL END";

/// For those who look now and then where nothing is announced: a hint only.
pub(super) const GLANCE: &str = "SELECT sequence FROM head WHERE id = 1";

/// For people who look. Nothing is renewed.
pub(super) const OVERVIEW: &str = "\
SELECT sequence, stable_sequence, generation, epoch,
       CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       (SELECT system_identifier FROM pg_control_system())
FROM head WHERE id = 1";

/// A handful of rows.
pub(super) const SECRET_CHECKS: &str = "SELECT name, value FROM secret_checks";

/// Who comes second waits for the first, and then finds its value.
pub(super) const NOTE_SECRET_CHECK: &str = "\
INSERT INTO secret_checks (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

pub(super) const REPLACE_SECRET_CHECK: &str = "\
INSERT INTO secret_checks (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
