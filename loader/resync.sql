-- Named statements of the resync task. The current time is a parameter, so that a test of three
-- days takes a second. The rules of who is asked, and when, are database functions:
-- schemas/postgres/0003_rules.sql, and resync_due in 0005_totals.sql.

-- name: close_requests
-- Closes requests that are unanswered or no longer needed, by the rules of `asked`.
UPDATE resync_request r SET closed_at = %(now)s, closed_how = a.closed_how
FROM asked(%(now)s, %(min_age)s) a
WHERE r.closed_at IS NULL AND a.closed_how IS NOT NULL
  AND (a.client_id, a.request_id) = (r.client_id, r.request_id);

-- name: mark_duplicate_identities
UPDATE client c SET duplicate_identity_at = d.since
FROM duplicate_identity(%(now)s) d
WHERE d.client_id = c.client_id AND c.duplicate_identity_at IS NULL;

-- name: due
-- The clients to ask now, oldest cause first, with one reason for each.
SELECT client_id, reason, since
FROM resync_due(%(now)s, %(min_age)s, %(merge_interval)s, %(signs_only)s, ripe_only => true)
WHERE at <= %(now)s
ORDER BY since, client_id
LIMIT %(limit)s;

-- name: request
-- Writes one request, to be sent at requested_at. Its missing ranges are added when it is sent.
--
-- The requests of a check are spread over the time until the next one: each has a slot of that
-- time, and a random moment in it. Causes that are checked every minute are spread over a minute.
INSERT INTO resync_request (client_id, request_id, reason, requested_at)
SELECT client_id, gen_random_uuid(), %(reason)s,
    %(now)s + (%(slot)s + random()) / %(slots)s * CASE
        WHEN %(reason)s = 'missing' THEN %(spread)s
        ELSE least(%(spread)s, interval '1 minute') END
FROM client WHERE client_id = %(client_id)s
RETURNING request_id;

-- name: forgive
-- An operator's request clears the mark of a duplicate identity.
UPDATE client SET duplicate_identity_at = NULL WHERE client_id = %(client_id)s;

-- name: unsent
-- Requests to send now, with the ranges that are missing now. SKIP LOCKED lets several loaders
-- share the work. Under backlog (%(held)s) only those of operators.
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
-- Under backlog, moves the requests to be sent now to random later moments, so that they are not
-- all sent at once when the backlog ends.
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
-- When the next request is to be sent.
SELECT min(requested_at) FROM resync_request WHERE closed_at IS NULL AND sent_at IS NULL;

-- name: sent
-- The broker has confirmed the request and did not return it.
UPDATE resync_request SET sent_at = %(now)s, attempts = attempts + 1
WHERE (client_id, request_id) = (%(client_id)s, %(request_id)s);

-- name: unroutable
-- The reply queue does not exist, so the request can get no answer.
UPDATE resync_request SET closed_at = %(now)s, closed_how = 'unroutable', attempts = attempts + 1
WHERE (client_id, request_id) = (%(client_id)s, %(request_id)s) AND closed_at IS NULL;

-- name: turn
-- Claims a periodic task for this interval: returns true to one loader of the site.
INSERT INTO duty (name, done_at) VALUES (%(name)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at
WHERE duty.done_at + %(interval)s <= excluded.done_at
   -- If the clock was ahead and was set back, the task would otherwise pause until that time.
   OR duty.done_at - %(interval)s > excluded.done_at
RETURNING true;

-- name: keep_totals
-- Stores totals that take too long to count on demand for a large site.
INSERT INTO site_totals (as_of, clients, duplicates, reused, answered, unanswered, due, silent,
    duplicate_identities, reply_queues)
SELECT as_of, clients, duplicates, reused, answered, unanswered, due, silent,
    duplicate_identities, reply_queues
FROM count_totals(%(now)s, %(min_age)s, %(merge_interval)s)
ON CONFLICT (one_row) DO UPDATE SET
    as_of = excluded.as_of, clients = excluded.clients, duplicates = excluded.duplicates,
    reused = excluded.reused, answered = excluded.answered, unanswered = excluded.unanswered,
    due = excluded.due, silent = excluded.silent,
    duplicate_identities = excluded.duplicate_identities, reply_queues = excluded.reply_queues;

-- name: lock_client
-- A separate statement, so that the next one sees what a chunk with this lock has committed.
SELECT client_id FROM client WHERE client_id = %(client_id)s FOR UPDATE;

-- name: forget_client
-- Deletes all of a client but its history, which is dropped with its partitions.
WITH gone AS (DELETE FROM current_state WHERE client_id = %(client_id)s),
     ranges AS (DELETE FROM missing_message_range WHERE client_id = %(client_id)s),
     requests AS (DELETE FROM resync_request WHERE client_id = %(client_id)s),
     -- One by one, since members are found by their collection.
     memberships AS (DELETE FROM collection_member
                     WHERE collection IN (SELECT id FROM collection) AND client_id = %(client_id)s)
DELETE FROM client WHERE client_id = %(client_id)s RETURNING client_id;
