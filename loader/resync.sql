-- Who is asked for a whole state, and when. Named statements of the resync duty; every moment
-- comes in as a value (%(now)s), so that three days can be proved in a second.

-- name: close_requests
-- What is given up: unanswered, or not due any more.
--
-- Unanswered is a request that was sent min_missing_message_age ago, and of whose answer nothing was
-- loaded since then either. An answer of which a part is there is on its way, and asking again would
-- lengthen the queue that keeps the rest.
-- (Not EXISTS for the parts: that may be planned as a hash of the history.)
WITH overdue AS MATERIALIZED (
    SELECT r.client_id, r.request_id FROM resync_request r
    WHERE r.closed_at IS NULL AND r.sent_at + %(min_age)s <= %(now)s
      AND (SELECT true FROM state_message h
           WHERE h.client_id = r.client_id AND h.serial BETWEEN r.first_serial AND r.last_serial
             AND NOT h.reused AND h.loaded_at > %(now)s - %(min_age)s
           LIMIT 1) IS NULL
)
UPDATE resync_request r SET
    closed_at = %(now)s,
    closed_how = CASE WHEN (r.client_id, r.request_id) IN (SELECT * FROM overdue)
                      THEN 'unanswered' ELSE 'arrived' END
WHERE r.closed_at IS NULL AND r.requested_at IS NOT NULL
  AND ((r.client_id, r.request_id) IN (SELECT * FROM overdue)
       OR (r.reason = 'missing' AND NOT EXISTS (
               SELECT FROM missing_message_range m
               WHERE m.client_id = r.client_id AND m.closed_at IS NULL AND NOT m.merged
                 AND m.detected_at + %(min_age)s <= %(now)s))
       OR (r.reason = 'serial_reused' AND NOT EXISTS (
               SELECT FROM client c
               WHERE c.client_id = r.client_id AND c.reuse_seen_at > coalesce(
                   (SELECT max(d.requested_at) FROM resync_request d
                    WHERE d.client_id = r.client_id
                      AND d.closed_how IN ('answered', 'overtaken')), '-infinity')))
       OR (r.reason = 'operator' AND EXISTS (
               SELECT FROM resync_request d
               WHERE d.client_id = r.client_id AND d.closed_how IN ('answered', 'overtaken')
                 AND d.requested_at >= r.requested_at))
       OR (r.reason = 'merged' AND NOT EXISTS (
               SELECT FROM missing_message_range m
               WHERE m.client_id = r.client_id AND m.closed_at IS NULL AND m.merged)));

-- name: mark_duplicate_identities
-- Five answered requests about reused serials within a day: two machines share one id, and each
-- answer makes the other one's serials look used again. Asking more would never end.
-- An operator's request starts the count anew.
UPDATE client c SET duplicate_identity_at = %(now)s
WHERE c.reuse_seen_at IS NOT NULL AND c.duplicate_identity_at IS NULL
  AND 5 <= (
      SELECT count(*) FROM resync_request r
      WHERE r.client_id = c.client_id AND r.reason = 'serial_reused'
        AND r.closed_how = 'answered' AND r.closed_at > %(now)s - interval '24 hours'
        AND r.requested_at > coalesce(
            (SELECT max(o.requested_at) FROM resync_request o
             WHERE o.client_id = c.client_id AND o.reason = 'operator'), '-infinity'));

-- name: due
-- The clients to ask now, oldest cause first, one reason each.
WITH cause AS (
    -- An operator asked and got no answer.
    SELECT r.client_id, 'operator' AS reason, 1 AS rank, max(r.requested_at) AS since
    FROM resync_request r
    WHERE r.reason = 'operator' AND r.closed_how IN ('unanswered', 'unroutable')
      AND NOT EXISTS (
          SELECT FROM resync_request d
          WHERE d.client_id = r.client_id AND d.closed_how IN ('answered', 'overtaken')
            AND d.requested_at >= r.requested_at)
    GROUP BY r.client_id
    UNION ALL
    SELECT c.client_id, 'serial_reused', 2, c.reuse_seen_at
    FROM client c
    WHERE c.reuse_seen_at IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM resync_request d
          WHERE d.client_id = c.client_id AND d.closed_how IN ('answered', 'overtaken')
            AND d.requested_at >= c.reuse_seen_at)
    UNION ALL
    SELECT client_id, 'merged', 3, min(detected_at)
    FROM missing_message_range WHERE closed_at IS NULL AND merged GROUP BY client_id
    UNION ALL
    SELECT client_id, 'missing', 4, min(detected_at)
    FROM missing_message_range
    WHERE closed_at IS NULL AND NOT merged AND detected_at + %(min_age)s <= %(now)s
      AND %(with_missing)s
    GROUP BY client_id
),
allowed AS (
    SELECT DISTINCT ON (cause.client_id)
        cause.client_id, cause.reason, cause.since, c.highest_serial, asked.times
    FROM cause
    JOIN client c USING (client_id)
    CROSS JOIN LATERAL (
        SELECT
            -- One that was closed before its moment came asked nobody.
            max(coalesce(r.sent_at, r.requested_at)) FILTER (WHERE r.attempts > 0) AS last_at,
            count(*) FILTER (WHERE r.closed_at IS NULL) AS open,
            -- Requests that count for the doubling: those of the last merge interval.
            count(*) FILTER (WHERE r.requested_at > %(now)s - %(merge_interval)s
                               AND r.reason <> 'missing' AND r.attempts > 0) AS times
        FROM resync_request r
        WHERE r.client_id = cause.client_id AND r.requested_at IS NOT NULL
    ) asked
    CROSS JOIN LATERAL (
        -- Three in a row without an answer, and not a word since: silent.
        SELECT count(*) FILTER (WHERE r.closed_how IN ('unanswered', 'unroutable')) AS unheard,
               max(r.closed_at) AS closed_at
        FROM (SELECT closed_how, closed_at FROM resync_request
              WHERE client_id = cause.client_id AND requested_at IS NOT NULL
              ORDER BY requested_at DESC LIMIT 3) r
    ) silence
    WHERE c.duplicate_identity_at IS NULL
      AND asked.open = 0
      AND NOT (silence.unheard = 3 AND coalesce(c.last_seen <= silence.closed_at, true))
      AND (asked.last_at IS NULL OR asked.last_at + CASE
               WHEN cause.reason = 'missing' OR asked.times > 20 THEN %(merge_interval)s
               WHEN asked.times = 0 THEN interval '0'
               ELSE least(%(merge_interval)s, interval '1 minute' * 2 ^ (asked.times - 1))
           END <= %(now)s)
    ORDER BY cause.client_id, cause.rank
)
SELECT client_id, reason, since, highest_serial FROM allowed ORDER BY since, client_id
LIMIT %(limit)s;

-- name: request
-- One request, to be sent from requested_at on. What is missing is written in when it is sent.
--
-- The requests of a check share the time until the next one: each has a slot of its own, and goes
-- at a random moment of it. Causes that are looked for every minute are spread over a minute.
INSERT INTO resync_request (client_id, request_id, reason, requested_at)
SELECT client_id, gen_random_uuid(), %(reason)s,
    %(now)s + (%(slot)s + random()) / %(slots)s * CASE
        WHEN %(reason)s = 'missing' THEN %(spread)s
        ELSE least(%(spread)s, interval '1 minute') END
FROM client WHERE client_id = %(client_id)s
RETURNING request_id;

-- name: forgive
-- An operator's word clears a duplicate identity.
UPDATE client SET duplicate_identity_at = NULL WHERE client_id = %(client_id)s;

-- name: unsent
-- Requests to send now, with what is missing at this moment. SKIP LOCKED: several loaders share the
-- work. Under backlog (%(held)s) only those of an operator.
WITH taken AS (
    SELECT client_id, request_id FROM resync_request
    WHERE closed_at IS NULL AND sent_at IS NULL AND requested_at <= %(now)s
      AND (reason = 'operator' OR NOT %(held)s)
    ORDER BY requested_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE resync_request r SET
    highest_serial = c.highest_serial,
    ranges = coalesce((SELECT range_agg(int8range(m.first_serial, m.last_serial + 1))
                       FROM missing_message_range m
                       WHERE m.client_id = c.client_id AND m.closed_at IS NULL), '{}')
FROM taken t JOIN client c USING (client_id)
WHERE (r.client_id, r.request_id) = (t.client_id, t.request_id)
RETURNING r.client_id, r.request_id, r.reason, r.ranges, r.highest_serial, r.requested_at,
          c.reply_queue;

-- name: put_off
-- Under backlog, what would go now goes at another moment: when the backlog ends, the requests that
-- it held must not leave all at once.
UPDATE resync_request r SET
    requested_at = %(now)s + random() * CASE
        WHEN reason = 'missing' THEN %(spread)s
        ELSE least(%(spread)s, interval '1 minute') END
FROM (SELECT client_id, request_id FROM resync_request
      WHERE closed_at IS NULL AND sent_at IS NULL AND requested_at <= %(now)s
        AND reason <> 'operator'
      FOR UPDATE SKIP LOCKED) held
WHERE (r.client_id, r.request_id) = (held.client_id, held.request_id);

-- name: next_unsent
-- When the next request goes.
SELECT min(requested_at) FROM resync_request WHERE closed_at IS NULL AND sent_at IS NULL;

-- name: sent
-- The broker confirmed it and did not return it.
UPDATE resync_request SET sent_at = %(now)s, attempts = attempts + 1
WHERE (client_id, request_id) = (%(client_id)s, %(request_id)s);

-- name: unroutable
-- There is no such reply queue: nobody will ever answer this one.
UPDATE resync_request SET closed_at = %(now)s, closed_how = 'unroutable', attempts = attempts + 1
WHERE (client_id, request_id) = (%(client_id)s, %(request_id)s) AND closed_at IS NULL;

-- name: turn
-- Takes the site's turn at a duty: true for one loader in each interval.
INSERT INTO duty (name, done_at) VALUES (%(name)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at
WHERE duty.done_at + %(interval)s <= excluded.done_at
RETURNING true;

-- name: lock_client
-- A statement of its own: the next one then sees what a chunk in front of us committed.
SELECT client_id FROM client WHERE client_id = %(client_id)s FOR UPDATE;

-- name: forget_client
-- Everything of one client but its history, which leaves with its partitions.
WITH gone AS (DELETE FROM current_state WHERE client_id = %(client_id)s),
     ranges AS (DELETE FROM missing_message_range WHERE client_id = %(client_id)s),
     requests AS (DELETE FROM resync_request WHERE client_id = %(client_id)s)
DELETE FROM client WHERE client_id = %(client_id)s RETURNING client_id;
