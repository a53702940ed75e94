-- name: create_fleet
INSERT INTO fleet (only, store_id, seed, created_at) VALUES (1, ?, ?, ?);

-- name: fleet
SELECT store_id, seed FROM fleet;

-- name: client_count
SELECT count(*) FROM client;

-- name: add_client
INSERT INTO client (number, client_id, name, version) VALUES (?, ?, ?, ?);

-- name: clients_between
SELECT number, client_id, name, version, last_serial, life, cycle
FROM client WHERE number >= ? AND number < ? ORDER BY number;

-- name: client_with_id
SELECT number, client_id, name, version, last_serial, life
FROM client WHERE client_id = ? ORDER BY number;

-- Clients that have forwarded nothing since the second value. The creation of the fleet counts as a first report.
-- name: quiet_clients
-- A last report after now (the third value) means that the clock was set back: the client counts as quiet.
SELECT c.number FROM client c, fleet f
WHERE c.number < ? AND (coalesce(c.last_forwarded_at, f.created_at) <= ?
    OR coalesce(c.last_forwarded_at, f.created_at) > ?)
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
INSERT INTO sent (client, life, serial, digest) VALUES (?, ?, ?, ?);

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
INSERT INTO injected (fault, client, life, message_id, first_serial, last_serial, injected_at)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: count_work
UPDATE fleet SET reports = reports + ?, messages = messages + ?, heartbeats = heartbeats + ?;

-- The next reports for the publisher. Held reports are skipped until `release` moves them.
-- name: outgoing_after
SELECT o.position, c.client_id, o.message_id, o.body, o.first_serial, o.last_serial, o.messages,
       o.correlation_id, o.rendered_at
FROM outbox o JOIN client c ON c.number = o.client
WHERE o.position > ? AND o.held IS NULL ORDER BY o.position LIMIT ?;

-- name: delete_confirmed
DELETE FROM outbox WHERE position = ?;

-- name: holding_clients
SELECT DISTINCT client FROM outbox WHERE held IS NOT NULL;

-- name: let_one_pass
UPDATE outbox SET held = held - 1 WHERE client = ? AND held IS NOT NULL;

-- name: let_all_pass
UPDATE outbox SET held = 0 WHERE held IS NOT NULL;

-- A released report moves to the end of the outbox: this statement copies it to a new position, and
-- `forget_released` deletes the old row.
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
SELECT client_id, name, version, last_serial, life, max(last_serial, ceiling)
FROM client ORDER BY client_id, number;

-- name: all_states
SELECT c.client_id, s.topic_type, s.topic_id, s.user_sid, s.serial, s.digest
FROM client c JOIN state s ON s.client = c.number
ORDER BY c.client_id, s.topic_type, s.topic_id, s.user_sid;

-- name: states_with_id
SELECT c.client_id, s.topic_type, s.topic_id, s.user_sid, s.serial, s.digest
FROM client c JOIN state s ON s.client = c.number
WHERE c.client_id = ? ORDER BY s.topic_type, s.topic_id, s.user_sid;

-- name: all_sent
SELECT c.client_id, s.serial, s.digest, s.life
FROM client c JOIN sent s ON s.client = c.number ORDER BY c.client_id, s.serial, s.life;

-- name: sent_with_id
SELECT c.client_id, s.serial, s.digest, s.life
FROM client c JOIN sent s ON s.client = c.number WHERE c.client_id = ?
ORDER BY s.serial, s.life;

-- name: outbox_ranges
SELECT c.client_id, o.first_serial, o.last_serial, o.message_id, o.held IS NOT NULL
FROM outbox o JOIN client c ON c.number = o.client ORDER BY o.position;

-- name: injected_ranges
SELECT i.fault, c.client_id, i.first_serial, i.last_serial, i.message_id, i.injected_at, i.life
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

-- Store faults. A backup has the counter and the states of one client. Restoring it begins another
-- life, in which serials are used again.
-- name: back_up
INSERT INTO backup (client, last_serial) SELECT number, last_serial FROM client WHERE number = ?
ON CONFLICT DO UPDATE SET last_serial = excluded.last_serial;

-- name: forget_backup
DELETE FROM backup_state WHERE client = ?;

-- name: back_up_states
INSERT INTO backup_state SELECT * FROM state WHERE client = ?;

-- name: backed_up
SELECT last_serial FROM backup WHERE client = ?;

-- name: begin_life
UPDATE client SET ceiling = max(ceiling, last_serial), life = life + 1, last_serial = ?
WHERE number = ?;

-- name: forget_states
DELETE FROM state WHERE client = ?;

-- name: restore_states
INSERT INTO state SELECT * FROM backup_state WHERE client = ?;

-- name: forget_answers
DELETE FROM answered WHERE client = ? AND first_serial > ?;

-- name: skip_serials
UPDATE client SET last_serial = last_serial + ? WHERE number = ?;

-- A client without any serial yet gets the id and name of the client before it, and its own life.
-- name: clone
UPDATE client SET client_id = o.client_id, name = o.name, life = 1000 * client.number
FROM client o
WHERE client.number = ? AND client.last_serial = 0 AND o.number = client.number - 1;
