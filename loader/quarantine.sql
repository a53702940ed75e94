-- The clients in quarantine: the relays turn their reports into dead letters.

-- name: lock
-- One change at a time, so that the limit holds.
SELECT pg_advisory_xact_lock(7828379710);

-- name: quarantine
-- Returns a row if the client is new in the list and the list is not full.
INSERT INTO client_quarantine (client_id, by, why)
SELECT %(client_id)s, %(by)s, %(why)s
WHERE (SELECT count(*) FROM client_quarantine) < %(most)s
ON CONFLICT (client_id) DO NOTHING
RETURNING client_id;

-- name: holds
SELECT client_id FROM client_quarantine WHERE client_id = %(client_id)s;

-- name: release
DELETE FROM client_quarantine WHERE client_id = %(client_id)s RETURNING client_id;

-- name: quarantined
SELECT client_id, since, by, why FROM client_quarantine ORDER BY since, client_id;

-- name: listed
-- What the relays are told. The command keeps the limit; a row that was written by hand may not.
SELECT client_id FROM client_quarantine ORDER BY since, client_id LIMIT %(most)s;
