-- Totals of a site, counted by a duty of the loaders for readers who cannot wait for it.
--
-- Locks: no table that loaders write to, and no time that depends on how many rows there are.

-- What walks whole tables, as it was at one moment. One row, written about once an hour.
CREATE TABLE site_totals (
    one_row              boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    as_of                timestamptz NOT NULL,
    clients              bigint NOT NULL,
    duplicates           bigint NOT NULL,
    reused               bigint NOT NULL,
    answered             bigint NOT NULL,
    unanswered           bigint NOT NULL,
    due                  bigint NOT NULL,
    silent               bigint NOT NULL,
    duplicate_identities bigint NOT NULL,
    reply_queues         text[] NOT NULL
);

-- Made anew for `ripe_only`; the rules are those of before.
DROP FUNCTION resync_due(timestamptz, interval, interval, boolean);

-- The clients that there is a cause to ask, one reason each: when they are asked, or why not.
--
-- `at`: a check asks from this moment on if nothing changes until then; null if only a change can
-- bring it about. `held_by`: what the client waits for, null once it is due: 'open request',
-- 'duplicate identity', 'silent' (at is null), 'too young', 'merge interval', 'doubling wait'.
-- Of several causes the first in rank counts that may be asked about now, or else the soonest.
-- With ripe_only, causes that are too young are left out: all that is due now, and little else.
CREATE FUNCTION resync_due(now timestamptz, min_age interval, merge_interval interval,
                           signs_only boolean DEFAULT false, ripe_only boolean DEFAULT false)
RETURNS TABLE (client_id uuid, reason text, since timestamptz, at timestamptz, held_by text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT DISTINCT ON (cause.client_id) cause.client_id, cause.reason, cause.since,
        CASE WHEN barred.by IS NULL THEN turn.at END,
        coalesce(barred.by, CASE
            WHEN turn.at <= now THEN NULL
            WHEN wait.until IS NULL OR cause.ripe_at >= wait.until THEN 'too young'
            WHEN cause.reason = 'missing' THEN 'merge interval'
            ELSE 'doubling wait' END)
    FROM (
        -- An operator asked and got no answer. (No sign is too young, whatever a clock says.)
        SELECT a.client_id, 'operator' AS reason, 1 AS rank, max(a.requested_at) AS since,
               least(max(a.requested_at), now) AS ripe_at
        FROM statesys.asked(now, min_age) a
        WHERE a.reason = 'operator' AND a.closed_how IN ('unanswered', 'unroutable')
          AND NOT EXISTS (
              SELECT FROM statesys.resync_request d
              WHERE d.client_id = a.client_id AND d.closed_how IN ('answered', 'overtaken')
                AND d.requested_at >= a.requested_at)
        GROUP BY a.client_id
        UNION ALL
        SELECT c.client_id, 'serial_reused', 2, c.reuse_seen_at, least(c.reuse_seen_at, now)
        FROM statesys.client c
        WHERE c.reuse_seen_at IS NOT NULL
          AND NOT EXISTS (
              SELECT FROM statesys.resync_request d
              WHERE d.client_id = c.client_id AND d.closed_how IN ('answered', 'overtaken')
                AND d.requested_at >= c.reuse_seen_at)
        UNION ALL
        SELECT m.client_id, 'merged', 3, min(m.detected_at), least(min(m.detected_at), now)
        FROM statesys.missing_message_range m
        WHERE m.closed_at IS NULL AND m.merged
        GROUP BY m.client_id
        UNION ALL
        -- The only cause that time may cure: most messages are late, not lost.
        SELECT m.client_id, 'missing', 4, min(m.detected_at), min(m.detected_at) + min_age
        FROM statesys.missing_message_range m
        WHERE m.closed_at IS NULL AND NOT m.merged AND NOT signs_only
        GROUP BY m.client_id
    ) cause
    JOIN statesys.client c ON c.client_id = cause.client_id
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(a.closed_how IS NULL), false) AS open,
            -- One that was closed before its moment came asked nobody.
            max(coalesce(a.sent_at, a.requested_at)) FILTER (WHERE a.attempts > 0) AS last_at,
            array_agg(a.requested_at ORDER BY a.requested_at DESC)
                FILTER (WHERE a.attempts > 0 AND a.reason <> 'missing') AS signs
        FROM statesys.asked(now, min_age) a
        WHERE a.client_id = cause.client_id
    ) asked
    CROSS JOIN LATERAL (
        -- After k requests within the merge interval the wait is 0, 1, 2, 4 … minutes, the merge
        -- interval at most. As requests fall out of that interval, the wait shrinks: hence the
        -- soonest moment over all k.
        SELECT CASE WHEN cause.reason = 'missing' THEN asked.last_at + merge_interval ELSE (
            SELECT min(greatest(
                asked.last_at + CASE
                    WHEN k = 0 THEN interval '0'
                    WHEN k > 20 THEN merge_interval
                    ELSE least(merge_interval, interval '1 minute' * 2 ^ (k - 1)) END,
                asked.signs[k + 1] + merge_interval))
            FROM generate_series(0, coalesce(cardinality(asked.signs), 0)) k) END
        OFFSET 0
    ) wait(until)
    CROSS JOIN LATERAL (SELECT greatest(cause.ripe_at, wait.until)) turn(at)
    CROSS JOIN LATERAL (
        -- One request at a time; none while an answer would not come, or would change nothing.
        SELECT CASE
            WHEN asked.open THEN 'open request'
            ELSE coalesce(
                (SELECT 'duplicate identity' FROM statesys.duplicate_identity(now) d
                 WHERE d.client_id = cause.client_id LIMIT 1),
                (SELECT 'silent' FROM statesys.silent(now, min_age) s
                 WHERE s.client_id = cause.client_id LIMIT 1)) END
        OFFSET 0
    ) barred(by)
    WHERE NOT ripe_only OR cause.ripe_at <= now
    ORDER BY cause.client_id, turn.at > now,
        CASE WHEN turn.at <= now THEN cause.rank END, turn.at, cause.rank;
END;

-- What is in site_totals, counted now. At most 100 reply queues.
CREATE FUNCTION count_totals(now timestamptz, min_age interval, merge_interval interval)
RETURNS TABLE (as_of timestamptz, clients bigint, duplicates bigint, reused bigint,
               answered bigint, unanswered bigint, due bigint, silent bigint,
               duplicate_identities bigint, reply_queues text[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT now, c.clients, c.duplicates, c.reused, r.answered, r.unanswered, d.due, s.silent,
           i.duplicate_identities, c.reply_queues
    FROM (SELECT coalesce(sum(fleet.clients), 0)::bigint AS clients,
                 coalesce(sum(fleet.duplicates), 0)::bigint AS duplicates,
                 coalesce(sum(fleet.reused), 0)::bigint AS reused,
                 coalesce((array_agg(fleet.reply_queue ORDER BY fleet.reply_queue)
                           FILTER (WHERE fleet.reply_queue IS NOT NULL))[1:100], '{}')
                     AS reply_queues
          FROM (SELECT k.reply_queue, count(*) AS clients, sum(k.duplicates) AS duplicates,
                       sum(k.reused) AS reused
                FROM statesys.client k GROUP BY k.reply_queue) fleet) c,
         (SELECT count(*) FILTER (WHERE q.closed_how IN ('answered', 'overtaken')) AS answered,
                 count(*) FILTER (WHERE q.closed_how = 'unanswered') AS unanswered
          FROM statesys.resync_request q WHERE q.requested_at IS NOT NULL) r,
         (SELECT count(*) AS due
          FROM statesys.resync_due(now, min_age, merge_interval, ripe_only => true) t
          WHERE t.at <= now) d,
         (SELECT count(*) AS silent FROM statesys.silent(now, min_age)) s,
         (SELECT count(*) AS duplicate_identities FROM statesys.duplicate_identity(now)) i;
END;

-- What is new is for the roles that hold rights on `duty`.
SELECT grant_as('duty', 'site_totals');
SELECT grant_to_holders('SELECT', 'duty',
    'EXECUTE ON FUNCTION resync_due, count_totals');
