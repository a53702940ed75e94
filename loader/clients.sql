-- Deleting a client: without its history (forget), or with it (erase).

-- name: lock
-- A separate statement, so that the next ones see what a chunk with this lock has committed.
SELECT client_id FROM client WHERE client_id = %(client_id)s FOR UPDATE;

-- name: name
SELECT name FROM client WHERE client_id = %(client_id)s;

-- name: held
-- What there is of a client, in the order of Removed.
SELECT (SELECT count(*) FROM client WHERE client_id = %(client_id)s),
       (SELECT count(*) FROM current_state WHERE client_id = %(client_id)s),
       (SELECT count(*) FROM missing_message_range WHERE client_id = %(client_id)s),
       (SELECT count(*) FROM resync_request WHERE client_id = %(client_id)s),
       (SELECT count(*) FROM client_activity WHERE client_id = %(client_id)s),
       (SELECT count(*) FROM state_message WHERE client_id = %(client_id)s);

-- name: forget
-- Deletes all of a client but its history; returns what was deleted, in the order of Removed.
WITH states AS (
    DELETE FROM current_state WHERE client_id = %(client_id)s RETURNING client_id),
ranges AS (
    DELETE FROM missing_message_range WHERE client_id = %(client_id)s RETURNING client_id),
requests AS (
    DELETE FROM resync_request WHERE client_id = %(client_id)s RETURNING client_id),
activity AS (
    DELETE FROM client_activity WHERE client_id = %(client_id)s RETURNING client_id),
-- One by one, since members are found by their collection.
memberships AS (
    DELETE FROM collection_member
    WHERE collection IN (SELECT id FROM collection) AND client_id = %(client_id)s),
listed AS (
    DELETE FROM top_client WHERE client_id = %(client_id)s),
rare AS (
    UPDATE rare_state SET client_ids = array_remove(client_ids, %(client_id)s)
    WHERE client_ids @> ARRAY[%(client_id)s::uuid]),
gone AS (
    DELETE FROM client WHERE client_id = %(client_id)s RETURNING client_id)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM states), (SELECT count(*) FROM ranges),
       (SELECT count(*) FROM requests), (SELECT count(*) FROM activity), 0::bigint;

-- name: erase_history
-- In each partition, the index state_message_identity finds the rows.
DELETE FROM state_message WHERE client_id = %(client_id)s;
