-- Who changed something through the viewer.

-- name: audit
-- Newest first; after an id, the older ones.
SELECT id, at, who, address, action, command, ended_at, failed, result
FROM statesys.audit_entry
WHERE %(after)s::bigint IS NULL OR id < %(after)s
ORDER BY id DESC
LIMIT %(limit)s;

-- name: audit_entry
-- One of them.
SELECT id, at, who, address, action, command, ended_at, failed, result
FROM statesys.audit_entry
WHERE id = %(id)s;
