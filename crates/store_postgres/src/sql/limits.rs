//! Draws from limit windows.
//!
//! The arithmetic is that of `domain::pool::Counter`, to the unit; a test compares both. Rows are locked in one order, so
//! draws of several nodes never wait for each other in a circle.

statements! {
    /// Draws from sliding windows. The clock is read once, before any row is waited for: a reading that is older than the
    /// row counts in the row's window, where less is left and which ends no later.
    DRAW = "\
WITH clock AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms)
INSERT INTO limit_windows AS own (
    scope, number, seconds, slot, bucket, granted_now, granted_before, granted_last, at_ms, ends_at,
    asked_limit, asked_needed, asked_smallest, asked_want, asked_already, asked_nodes
)
SELECT ask.scope, ask.number, ask.seconds, ask.slot, now_ms / (ask.seconds * 1000), ask.already + grants.units, 0,
       grants.units, now_ms, (now_ms / (ask.seconds * 1000) + 2) * ask.seconds,
       ask.units, ask.needed, ask.smallest, ask.want, ask.already, ask.nodes
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[])
         AS ask (scope, number, seconds, slot, units, needed, smallest, want, already, nodes)
     CROSS JOIN clock
     CROSS JOIN LATERAL (SELECT greatest(ask.units - ask.already, 0) AS units) AS free
     CROSS JOIN LATERAL (
         SELECT CASE WHEN free.units < ask.smallest THEN 0
                ELSE least(free.units, greatest(ask.needed, least(ask.want, free.units / (2 * ask.nodes)))) END AS units
     ) AS grants
ORDER BY 1, 2, 3, 4
ON CONFLICT (scope, number, seconds, slot) DO UPDATE SET (
    bucket, granted_now, granted_before, granted_last, at_ms, ends_at,
    asked_limit, asked_needed, asked_smallest, asked_want, asked_already, asked_nodes
) = (
    SELECT rolled.bucket, spent.units + grants.units, spent.before, grants.units, excluded.at_ms,
           (rolled.bucket + 2) * own.seconds, excluded.asked_limit, excluded.asked_needed, excluded.asked_smallest,
           excluded.asked_want, excluded.asked_already, excluded.asked_nodes
    FROM (
        SELECT CASE WHEN own.bucket BETWEEN excluded.bucket AND excluded.bucket + 1 + 600 / own.seconds
                    THEN own.bucket ELSE excluded.bucket END AS bucket
    ) AS rolled
    CROSS JOIN LATERAL (
        SELECT CASE WHEN own.bucket = rolled.bucket THEN own.granted_now ELSE 0 END + excluded.asked_already AS units,
               CASE WHEN own.bucket = rolled.bucket THEN own.granted_before
                    WHEN own.bucket + 1 = rolled.bucket THEN own.granted_now ELSE 0 END AS before,
               own.seconds * 1000
               - least(greatest(excluded.at_ms - rolled.bucket * own.seconds * 1000, 0), own.seconds * 1000) AS rest_ms
    ) AS spent
    CROSS JOIN LATERAL (
        SELECT greatest(excluded.asked_limit - spent.units
               - div(spent.before::numeric * spent.rest_ms + own.seconds * 1000 - 1, own.seconds * 1000)::bigint, 0) AS units
    ) AS free
    CROSS JOIN LATERAL (
        SELECT CASE WHEN free.units < excluded.asked_smallest THEN 0
               ELSE least(free.units, greatest(excluded.asked_needed,
                          least(excluded.asked_want, free.units / (2 * excluded.asked_nodes)))) END AS units
    ) AS grants
)
RETURNING scope, number, seconds, slot, bucket, granted_now, granted_before, granted_last, at_ms";
    /// Draws from smooth windows.
    DRAW_SMOOTH = "\
WITH clock AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms)
INSERT INTO limit_drains AS own (
    scope, number, seconds, slot, drained_at_ns, granted_last, at_ms, ends_at, asked_limit, asked_needed, asked_smallest
)
SELECT ask.scope, ask.number, ask.seconds, ask.slot,
       now_ms * 1000000 + div(grants.units::numeric * ask.seconds * 1000000000 + ask.units - 1, ask.units)::bigint,
       grants.units, now_ms, now_ms / 1000 + ask.seconds + 1, ask.units, ask.needed, ask.smallest
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
         AS ask (scope, number, seconds, slot, units, needed, smallest)
     CROSS JOIN clock
     CROSS JOIN LATERAL (
         SELECT CASE WHEN ask.units < ask.smallest THEN 0 ELSE least(ask.units, ask.needed) END AS units
     ) AS grants
ORDER BY 1, 2, 3, 4
ON CONFLICT (scope, number, seconds, slot) DO UPDATE SET (
    drained_at_ns, granted_last, at_ms, ends_at, asked_limit, asked_needed, asked_smallest
) = (
    SELECT begins.at_ns + div(grants.units::numeric * own.seconds * 1000000000 + excluded.asked_limit - 1, excluded.asked_limit)::bigint,
           grants.units, excluded.at_ms, excluded.ends_at, excluded.asked_limit, excluded.asked_needed, excluded.asked_smallest
    FROM (
        SELECT CASE WHEN own.drained_at_ns > excluded.at_ms * 1000000 + (own.seconds + 600) * 1000000000
                    THEN excluded.at_ms * 1000000 ELSE greatest(own.drained_at_ns, excluded.at_ms * 1000000) END AS at_ns
    ) AS begins
    CROSS JOIN LATERAL (
        SELECT div(greatest(excluded.at_ms * 1000000 + own.seconds * 1000000000 - begins.at_ns, 0)::numeric
                   * excluded.asked_limit, own.seconds * 1000000000)::bigint AS units
    ) AS free
    CROSS JOIN LATERAL (
        SELECT CASE WHEN free.units < excluded.asked_smallest THEN 0 ELSE least(free.units, excluded.asked_needed) END AS units
    ) AS grants
)
RETURNING scope, number, seconds, slot, drained_at_ns, granted_last, at_ms";
    /// Takes units back whose window is not over. A row that is not there any more comes back as one of which nothing was
    /// drawn, which says the same.
    GIVE_BACK = "\
INSERT INTO limit_windows AS own (
    scope, number, seconds, slot, bucket, granted_now, granted_before, granted_last, at_ms, ends_at,
    asked_limit, asked_needed, asked_smallest, asked_want, asked_already, asked_nodes
)
SELECT back.scope, back.number, back.seconds, back.slot, back.bucket, 0, 0, back.units, 0, (back.bucket + 2) * back.seconds,
       0, 0, 0, 0, 0, 1
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
         AS back (scope, number, seconds, slot, bucket, units)
ORDER BY 1, 2, 3, 4
ON CONFLICT (scope, number, seconds, slot) DO UPDATE SET granted_now = greatest(own.granted_now - excluded.granted_last, 0)
WHERE own.bucket = excluded.bucket";
    /// Forgets sliding windows that are over. Rows in use wait for the next time.
    PRUNE = "\
DELETE FROM limit_windows WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM limit_windows WHERE ends_at < $1 ORDER BY ends_at LIMIT 1000 FOR UPDATE SKIP LOCKED
))";
    /// Forgets smooth windows that have drained.
    PRUNE_SMOOTH = "\
DELETE FROM limit_drains WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM limit_drains WHERE ends_at < $1 ORDER BY ends_at LIMIT 1000 FOR UPDATE SKIP LOCKED
))";
    /// The clock, in Unix seconds.
    CLOCK = "SELECT extract(epoch FROM clock_timestamp())::bigint";
}
