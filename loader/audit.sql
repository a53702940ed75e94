-- Who changed something through the viewer.

-- name: begin
INSERT INTO audit_entry (who, address, action, command)
VALUES (%(who)s, %(address)s, %(action)s, %(command)s)
RETURNING id;

-- name: end
-- What was noted once is not changed.
UPDATE audit_entry
SET ended_at = clock_timestamp(), failed = %(failed)s, result = %(result)s
WHERE id = %(id)s AND ended_at IS NULL;
