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
FROM resync_due(%(now)s, %(min_age)s, %(merge_interval)s, %(urgent_only)s, ripe_only => true)
WHERE at <= %(now)s
ORDER BY since, client_id
LIMIT %(limit)s;

-- name: request
-- Writes one request, to be sent at requested_at. Its missing ranges are added when it is sent.
--
-- The requests of a check are spread over the time until the next one: each has a slot of that
-- time, and a random moment in it. Those for urgent causes, which are checked every minute, are
-- spread over a minute.
INSERT INTO resync_request (client_id, request_id, reason, requested_at)
SELECT client_id, gen_random_uuid(), %(reason)s,
    %(now)s + (%(slot)s + random()) / %(slots)s * CASE
        WHEN %(reason)s = 'missing' THEN %(spread)s
        ELSE least(%(spread)s, interval '1 minute') END
FROM client WHERE client_id = %(client_id)s
RETURNING request_id;

-- name: request_many
-- Writes operators' requests, to be sent one after another over %(spread)s. A client that has an open
-- request is left out.
INSERT INTO resync_request (client_id, request_id, reason, requested_at, one_of_many)
SELECT client_id, gen_random_uuid(), 'operator',
    %(now)s + (slot - 1 + random()) / count(*) OVER () * %(spread)s, true
FROM unnest(%(client_ids)s::uuid[]) WITH ORDINALITY AS asked(client_id, slot)
JOIN client USING (client_id)
WHERE NOT EXISTS (SELECT FROM resync_request r
                  WHERE r.client_id = client.client_id AND r.closed_at IS NULL
                    AND r.requested_at IS NOT NULL)
ORDER BY slot
RETURNING client_id, request_id;

-- name: collection_id
SELECT id FROM collection WHERE lower(name) = lower(%(name)s);

-- name: members
-- The members of a collection that the last evaluation found.
SELECT client_id FROM collection_member WHERE collection = %(id)s ORDER BY client_id;

-- name: forgive_many
UPDATE client SET duplicate_identity_at = NULL
WHERE client_id = ANY(%(client_ids)s) AND duplicate_identity_at IS NOT NULL;

-- name: askable
-- How many of some clients have no open request.
SELECT count(*) FROM unnest(%(client_ids)s::uuid[]) AS asked(client_id)
WHERE NOT EXISTS (SELECT FROM resync_request r
                  WHERE r.client_id = asked.client_id AND r.closed_at IS NULL
                    AND r.requested_at IS NOT NULL);

-- name: forgive
-- An operator's request clears the mark of a duplicate identity.
UPDATE client SET duplicate_identity_at = NULL WHERE client_id = %(client_id)s;

-- name: unsent
-- Requests to send now, with the ranges that are missing now. SKIP LOCKED lets several loaders
-- share the work. Under backlog (%(held)s) only those that an operator made for one client.
WITH taken AS (
    SELECT client_id, request_id FROM resync_request
    WHERE closed_at IS NULL AND sent_at IS NULL AND requested_at <= %(now)s
      AND (reason = 'operator' AND NOT one_of_many OR NOT %(held)s)
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
-- all sent at once when the backlog ends. Those that an operator made for one client stay.
UPDATE resync_request r SET
    requested_at = %(now)s + random() * CASE
        WHEN reason = 'missing' OR one_of_many THEN %(spread)s
        ELSE least(%(spread)s, interval '1 minute') END
FROM (SELECT client_id, request_id FROM resync_request
      WHERE closed_at IS NULL AND sent_at IS NULL AND requested_at <= %(now)s
        AND (reason <> 'operator' OR one_of_many)
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

-- name: take_turn
-- Takes the turn of a periodic task for this interval: returns true to one loader of the site.
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

-- name: count_in_memory
-- For this transaction. Counting reads whole tables, and with the few MB that suffice otherwise
-- most of its time would be temporary files.
SELECT set_config('work_mem', '64MB', true);

-- name: forget_state_totals
-- With the next statement, in one transaction: readers see the old numbers until the new ones.
DELETE FROM state_totals;

-- name: keep_state_totals
-- Stores how many clients are in which state.
INSERT INTO state_totals (topic_type, topic_id, state_id, condition, clients, as_of)
SELECT topic_type, topic_id, state_id, condition, clients, %(now)s
FROM count_state_totals(%(now)s, %(min_age)s, %(heartbeat_interval)s, min_states => %(min_states)s);

-- name: forget_rare_states
-- In the same transaction.
DELETE FROM rare_state;

-- name: read_states_once
-- For this transaction: of new totals PostgreSQL knows nothing, and would look up the states of each.
SELECT set_config('enable_nestloop', 'off', true);

-- name: keep_rare_states
-- Stores which clients are in the states that few have.
INSERT INTO rare_state (topic_type, topic_id, state_id, client_ids, as_of)
SELECT topic_type, topic_id, state_id, client_ids, %(now)s
FROM clients_in_rare_states(%(rare)s);
