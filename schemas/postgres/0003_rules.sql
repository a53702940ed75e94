-- The rules of who is asked: one row of the site, and functions that take the moment as a value.
--
-- Locks: SHARE on client and resync_request while an index of each is built. That reads each table
-- once, and loaders wait meanwhile. 1,000,000 clients and 500,000 requests: 1.1 s of CPU, 2.6 s by
-- the clock of a machine with load 10 on two cores; PostgreSQL 15.18. state_message and
-- current_state are not touched, however large they are.

-- What the site's loaders follow, and what readers go by. One row.
CREATE TABLE site (
    one_row                  boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    min_missing_message_age  interval NOT NULL CHECK (min_missing_message_age >= '0'),
    resync_merge_interval    interval NOT NULL CHECK (resync_merge_interval >= '0'),
    resync_check_interval    interval NOT NULL CHECK (resync_check_interval > '0'),
    resyncs_per_check        integer NOT NULL CHECK (resyncs_per_check >= 1),
    resync_backlog_threshold integer NOT NULL CHECK (resync_backlog_threshold >= 0),
    heartbeat_interval       interval NOT NULL CHECK (heartbeat_interval >= '0'),
    -- Where the values come from: 'default' until a loader starts, then 'loader'.
    origin                   text NOT NULL,
    written_by               text NOT NULL,
    written_at               timestamptz NOT NULL
);
INSERT INTO site (min_missing_message_age, resync_merge_interval, resync_check_interval,
    resyncs_per_check, resync_backlog_threshold, heartbeat_interval, origin, written_by, written_at)
VALUES ('48 h', '72 h', '1 h', 500, 1000, '15 min', 'default', 'loader migrate', now());

-- The loaders at work, each with the rules that it was started with. A loader is seen about once a
-- minute; one that was killed leaves its row, whose seen_at then stands still.
CREATE TABLE loader (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    rules      jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL
) WITH (fillfactor = 75);

-- No index here covers a column that loading changes.
CREATE INDEX client_duplicate_identity ON client (client_id)
    WHERE duplicate_identity_at IS NOT NULL;
CREATE INDEX resync_request_operator ON resync_request (client_id) WHERE reason = 'operator';
CREATE INDEX resync_request_unheard ON resync_request (client_id)
    WHERE requested_at IS NOT NULL
      AND (closed_how IS NULL OR closed_how IN ('unanswered', 'unroutable'));

-- The functions below take the moment as a value; none of them reads a clock or a setting.
-- Those that return tables are single SELECTs, STABLE and not STRICT, so that the planner puts them
-- into the statement that calls them: with `WHERE client_id = …` they look one client up. OFFSET 0
-- keeps the planner from writing an expression out again at each place that uses it.

-- Whether a part of an answer was loaded after a moment. A function that is not put into the
-- statement that calls it: the planner would look at all partitions, for a question that is hardly
-- ever asked. (Not EXISTS: that may be planned as a hash of the history.)
CREATE FUNCTION answer_comes(client uuid, first_serial bigint, last_serial bigint,
                             after timestamptz)
RETURNS boolean LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT (SELECT true FROM statesys.state_message h
            WHERE h.client_id = client
              AND h.serial BETWEEN answer_comes.first_serial AND answer_comes.last_serial
              AND NOT h.reused AND h.loaded_at > after
            LIMIT 1) IS NOT NULL;
END;

-- The requests, as a check at this moment would leave them: an open one that is given up then is
-- closed here already.
--
-- Unanswered is a request that was sent min_age ago, and of whose answer nothing was loaded since
-- then either. An answer of which a part is there is on its way, and asking again would lengthen
-- the queue that keeps the rest. A request whose cause went away by itself closes as arrived.
CREATE FUNCTION asked(now timestamptz, min_age interval)
RETURNS TABLE (client_id uuid, request_id uuid, reason text, requested_at timestamptz,
               sent_at timestamptz, attempts integer, closed_at timestamptz, closed_how text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT r.client_id, r.request_id, r.reason, r.requested_at, r.sent_at, r.attempts,
        CASE WHEN given_up.how IS NOT NULL THEN now ELSE r.closed_at END,
        coalesce(r.closed_how, given_up.how)
    FROM statesys.resync_request r
    LEFT JOIN LATERAL (SELECT CASE
        WHEN r.sent_at + min_age <= now
         AND NOT statesys.answer_comes(r.client_id, r.first_serial, r.last_serial, now - min_age)
        THEN 'unanswered'
        WHEN CASE r.reason
            WHEN 'missing' THEN NOT EXISTS (
                SELECT FROM statesys.missing_message_range m
                WHERE m.client_id = r.client_id AND m.closed_at IS NULL AND NOT m.merged
                  AND m.detected_at + min_age <= now)
            WHEN 'merged' THEN NOT EXISTS (
                SELECT FROM statesys.missing_message_range m
                WHERE m.client_id = r.client_id AND m.closed_at IS NULL AND m.merged)
            WHEN 'serial_reused' THEN NOT EXISTS (
                SELECT FROM statesys.client c
                WHERE c.client_id = r.client_id AND c.reuse_seen_at > coalesce(
                    (SELECT max(d.requested_at) FROM statesys.resync_request d
                     WHERE d.client_id = r.client_id
                       AND d.closed_how IN ('answered', 'overtaken')), '-infinity'))
            WHEN 'operator' THEN EXISTS (
                SELECT FROM statesys.resync_request d
                WHERE d.client_id = r.client_id AND d.closed_how IN ('answered', 'overtaken')
                  AND d.requested_at >= r.requested_at)
            END
        THEN 'arrived' END) AS given_up(how) ON r.closed_at IS NULL
    WHERE r.requested_at IS NOT NULL;
END;

-- The clients whose id two machines seem to share: marked, or to be marked by a check.
--
-- Five answered requests about reused serials within a day: each answer makes the other machine's
-- serials look used again, and asking more would never end. An operator's request starts the count
-- anew.
CREATE FUNCTION duplicate_identity(now timestamptz)
RETURNS TABLE (client_id uuid, since timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.client_id, c.duplicate_identity_at
    FROM statesys.client c WHERE c.duplicate_identity_at IS NOT NULL
    UNION ALL
    SELECT c.client_id, now
    FROM statesys.client c
    WHERE c.reuse_seen_at IS NOT NULL AND c.duplicate_identity_at IS NULL
      AND 5 <= (
          SELECT count(*) FROM statesys.resync_request r
          WHERE r.client_id = c.client_id AND r.reason = 'serial_reused'
            AND r.closed_how = 'answered' AND r.closed_at > now - interval '24 hours'
            AND r.requested_at > coalesce(
                (SELECT max(o.requested_at) FROM statesys.resync_request o
                 WHERE o.client_id = c.client_id AND o.reason = 'operator'), '-infinity'));
END;

-- The silent clients: their three newest requests have no answer, and nothing came since.
CREATE FUNCTION silent(now timestamptz, min_age interval)
RETURNS TABLE (client_id uuid, since timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.client_id, newest.closed_at
    FROM (SELECT r.client_id FROM statesys.resync_request r
          WHERE r.requested_at IS NOT NULL
            AND (r.closed_how IS NULL OR r.closed_how IN ('unanswered', 'unroutable'))
          GROUP BY r.client_id HAVING count(*) >= 3) candidate
    JOIN statesys.client c ON c.client_id = candidate.client_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE three.closed_how IN ('unanswered', 'unroutable')) AS unheard,
               max(three.closed_at) AS closed_at
        FROM (SELECT a.closed_how, a.closed_at FROM statesys.asked(now, min_age) a
              WHERE a.client_id = candidate.client_id
              ORDER BY a.requested_at DESC, a.request_id LIMIT 3) three
    ) newest
    WHERE newest.unheard = 3 AND coalesce(c.last_seen <= newest.closed_at, true);
END;

-- What is the matter with each client: the first condition that it meets.
CREATE FUNCTION client_condition(now timestamptz, min_age interval, heartbeat_interval interval)
RETURNS TABLE (client_id uuid, condition text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.client_id, CASE
        WHEN d.client_id IS NOT NULL THEN 'duplicate identity'
        WHEN g.client_id IS NOT NULL THEN 'gaps'
        WHEN s.client_id IS NOT NULL THEN 'silent'
        WHEN coalesce(c.last_seen, c.first_seen) + 3 * heartbeat_interval <= now THEN 'quiet'
        -- Up to its last report.
        ELSE 'complete' END
    FROM statesys.client c
    LEFT JOIN statesys.duplicate_identity(now) d ON d.client_id = c.client_id
    LEFT JOIN (SELECT DISTINCT m.client_id FROM statesys.missing_message_range m
               WHERE m.closed_at IS NULL) g ON g.client_id = c.client_id
    LEFT JOIN statesys.silent(now, min_age) s ON s.client_id = c.client_id;
END;

-- The clients that there is a cause to ask, one reason each: when they are asked, or why not.
--
-- `at`: a check asks from this moment on if nothing changes until then; null if only a change can
-- bring it about. `held_by`: what the client waits for, null once it is due: 'open request',
-- 'duplicate identity', 'silent' (at is null), 'too young', 'merge interval', 'doubling wait'.
-- Of several causes the first in rank counts that may be asked about now, or else the soonest.
CREATE FUNCTION resync_due(now timestamptz, min_age interval, merge_interval interval,
                           signs_only boolean DEFAULT false)
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
    ORDER BY cause.client_id, turn.at > now,
        CASE WHEN turn.at <= now THEN cause.rank END, turn.at, cause.rank;
END;

-- What is new is for the roles that hold rights on `duty`.
SELECT grant_as('duty', 'site, loader');
SELECT grant_to_holders('SELECT', 'duty',
    'EXECUTE ON FUNCTION answer_comes, asked, duplicate_identity, silent, client_condition, '
    'resync_due');
