-- name: create_fleet
INSERT INTO fleet (only, store_id, seed, created_at) VALUES (1, ?, ?, ?);

-- name: fleet
SELECT store_id, seed, created_at FROM fleet;

-- name: client_count
SELECT count(*) FROM client;

-- name: add_client
INSERT INTO client (number, client_id, name, version) VALUES (?, ?, ?, ?);

-- name: clients_between
SELECT number, client_id, name, version, last_serial, cycle
FROM client WHERE number >= ? AND number < ? ORDER BY number;

-- name: client_with_id
SELECT number, client_id, name, version, last_serial FROM client WHERE client_id = ?;

-- Who has been silent: the creation of the fleet counts as a first sign of life.
-- name: silent_clients
SELECT c.number FROM client c, fleet f
WHERE c.number < ? AND coalesce(c.last_forwarded_at, f.created_at) <= ?
ORDER BY c.number LIMIT ?;

-- name: set_forwarded
UPDATE client SET last_serial = ?, last_forwarded_at = ? WHERE number = ?;

-- name: count_cycle
UPDATE client SET cycle = cycle + 1 WHERE number = ?;

-- name: unsent_between
SELECT client, topic_type, topic_id, user_sid, id_type, user_name, state_id, criticality,
       message_time, params, details, details_type
FROM state WHERE serial IS NULL AND client >= ? AND client < ? ORDER BY client, message_time;

-- name: states_of
SELECT client, topic_type, topic_id, user_sid, id_type, user_name, state_id, criticality,
       message_time, params, details, details_type
FROM state WHERE client = ? ORDER BY topic_type, topic_id, user_sid;

-- name: save_state
INSERT INTO state (client, topic_type, topic_id, user_sid, id_type, user_name, state_id,
                   criticality, message_time, params, details, details_type, serial, digest)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    id_type = excluded.id_type, user_name = excluded.user_name, state_id = excluded.state_id,
    criticality = excluded.criticality, message_time = excluded.message_time,
    params = excluded.params, details = excluded.details, details_type = excluded.details_type,
    serial = excluded.serial, digest = excluded.digest;

-- name: save_sent
INSERT INTO sent (client, serial, digest) VALUES (?, ?, ?);

-- name: save_outgoing
INSERT INTO outbox (client, message_id, body, first_serial, last_serial, messages, correlation_id,
                    rendered_at, held)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: save_answered
INSERT INTO answered (client, request_id, first_serial, last_serial, answered_at)
VALUES (?, ?, ?, ?, ?);

-- name: was_answered
SELECT 1 FROM answered WHERE client = ? AND request_id = ?;

-- name: save_injected
INSERT INTO injected (fault, client, message_id, first_serial, last_serial, injected_at)
VALUES (?, ?, ?, ?, ?, ?);

-- name: count_work
UPDATE fleet SET reports = reports + ?, messages = messages + ?, heartbeats = heartbeats + ?;

-- What the publisher takes next. Held reports wait until their turn gives them a new position.
-- name: outgoing_after
SELECT o.position, c.client_id, o.message_id, o.body, o.first_serial, o.last_serial, o.messages,
       o.correlation_id, o.rendered_at
FROM outbox o JOIN client c ON c.number = o.client
WHERE o.position > ? AND o.held IS NULL ORDER BY o.position LIMIT ?;

-- name: settle
DELETE FROM outbox WHERE position = ?;

-- name: holding_clients
SELECT DISTINCT client FROM outbox WHERE held IS NOT NULL;

-- name: let_one_pass
UPDATE outbox SET held = held - 1 WHERE client = ? AND held IS NOT NULL;

-- name: let_all_pass
UPDATE outbox SET held = 0 WHERE held IS NOT NULL;

-- A released report goes behind everything that is in the outbox now. Two statements: a copy with a
-- new position, and the end of the old one.
-- name: release
INSERT INTO outbox (client, message_id, body, first_serial, last_serial, messages, correlation_id,
                    rendered_at)
SELECT client, message_id, body, first_serial, last_serial, messages, correlation_id, rendered_at
FROM outbox WHERE held <= 0 ORDER BY position;

-- name: forget_released
DELETE FROM outbox WHERE held <= 0;

-- name: outbox_is_empty
SELECT NOT EXISTS (SELECT 1 FROM outbox);

-- name: all_clients
SELECT number, client_id, name, version, last_serial FROM client ORDER BY client_id;

-- name: all_states
SELECT c.client_id, s.topic_type, s.topic_id, s.user_sid, s.serial, s.digest
FROM client c JOIN state s ON s.client = c.number
ORDER BY c.client_id, s.topic_type, s.topic_id, s.user_sid;

-- name: states_with_id
SELECT c.client_id, s.topic_type, s.topic_id, s.user_sid, s.serial, s.digest
FROM client c JOIN state s ON s.client = c.number
WHERE c.client_id = ? ORDER BY s.topic_type, s.topic_id, s.user_sid;

-- name: all_sent
SELECT c.client_id, s.serial, s.digest
FROM client c JOIN sent s ON s.client = c.number ORDER BY c.client_id, s.serial;

-- name: sent_with_id
SELECT c.client_id, s.serial, s.digest
FROM client c JOIN sent s ON s.client = c.number WHERE c.client_id = ? ORDER BY s.serial;

-- name: outbox_ranges
SELECT c.client_id, o.first_serial, o.last_serial, o.message_id, o.held IS NOT NULL
FROM outbox o JOIN client c ON c.number = o.client ORDER BY o.position;

-- name: injected_ranges
SELECT i.fault, c.client_id, i.first_serial, i.last_serial, i.message_id, i.injected_at
FROM injected i JOIN client c ON c.number = i.client ORDER BY i.rowid;

-- name: injected_by_kind
SELECT fault, count(*) FROM injected GROUP BY fault ORDER BY fault;

-- name: answers
SELECT a.request_id, c.client_id, a.first_serial, a.last_serial, a.answered_at
FROM answered a JOIN client c ON c.number = a.client ORDER BY c.client_id, a.first_serial;

-- name: totals
SELECT (SELECT count(*) FROM client), f.reports, f.messages, f.heartbeats,
       (SELECT count(*) FROM answered), (SELECT count(*) FROM outbox)
FROM fleet f;
