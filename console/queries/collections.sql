-- The console's queries about collections. They only read. What stands behind {source} is compiled
-- from a rule (runtime/collection_rules): the clients that fulfil it now, as c, and a WHERE.

-- name: collections
-- All collections, or those of one name in any letter case, with what the last evaluation found.
SELECT id, name, rule, created_at, created_by, evaluated_at, took, conditions, problem
FROM statesys.collection
WHERE %(name)s::text IS NULL OR lower(name) = lower(%(name)s::text)
ORDER BY lower(name);

-- name: members
-- The members at this moment, by client id. A member that no evaluation has met yet has joined since
-- the last one. (LIMIT 1 makes PostgreSQL look at the conditions of the clients in the list only.)
SELECT p.client_id, p.name, p.version, p.last_seen, o.condition, m.joined_at
FROM (SELECT c.client_id, c.name, c.version, c.last_seen
      FROM {source}
        AND (%(after)s::uuid IS NULL OR c.client_id > %(after)s::uuid)
        AND (%(joined_since)s::timestamptz IS NULL OR NOT EXISTS (
            SELECT FROM statesys.collection_member AS b
            WHERE b.collection = %(id)s AND b.client_id = c.client_id
              AND b.joined_at < %(joined_since)s::timestamptz))
      ORDER BY c.client_id
      LIMIT %(limit)s) AS p
LEFT JOIN statesys.collection_member AS m ON m.collection = %(id)s AND m.client_id = p.client_id
LEFT JOIN LATERAL (
    SELECT condition
    FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
    WHERE client_id = p.client_id
    LIMIT 1) AS o ON true
ORDER BY p.client_id;

-- name: evaluated_members
-- The members that the last evaluation found, by client id.
SELECT m.client_id, c.name, c.version, c.last_seen, o.condition, m.joined_at
FROM (SELECT client_id, joined_at
      FROM statesys.collection_member
      WHERE collection = %(id)s
        AND (%(after)s::uuid IS NULL OR client_id > %(after)s::uuid)
        AND (%(joined_since)s::timestamptz IS NULL OR joined_at >= %(joined_since)s::timestamptz)
      ORDER BY client_id
      LIMIT %(limit)s) AS m
-- A client that was forgotten since then is no member any more.
JOIN statesys.client AS c ON c.client_id = m.client_id
LEFT JOIN LATERAL (
    SELECT condition
    FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
    WHERE client_id = m.client_id
    LIMIT 1) AS o ON true
ORDER BY m.client_id;

-- name: member_conditions
-- How many members of which condition there are at this moment.
SELECT o.condition, count(*)
FROM (SELECT c.client_id FROM {source}) AS f
JOIN statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s) AS o
  ON o.client_id = f.client_id
GROUP BY o.condition;
