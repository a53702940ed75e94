-- Collections: made and deleted by operators, evaluated by a periodic task of the loaders. What
-- stands behind {source} is compiled from a rule (runtime/collection_rules): clients as c.

-- name: create
-- No row when there is one of this name.
INSERT INTO collection (name, rule, created_at, created_by)
VALUES (%(name)s, %(rule)s, now(), session_user)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: replace
-- Gives a collection another rule. Members that fulfil it too stay, with the moment they joined.
INSERT INTO collection (name, rule, created_at, created_by)
VALUES (%(name)s, %(rule)s, now(), session_user)
ON CONFLICT (lower(name)) DO UPDATE SET
    name = excluded.name, rule = excluded.rule, created_at = excluded.created_at,
    created_by = excluded.created_by, tried_at = NULL, evaluated_at = NULL, took = NULL,
    conditions = NULL, problem = NULL
RETURNING id;

-- name: delete
DELETE FROM collection WHERE lower(name) = lower(%(name)s) RETURNING id;

-- name: due
-- Locks the collection whose evaluation is due for longest, for this loader alone. Others take the
-- next one, so loaders share the work and nothing is evaluated twice.
SELECT id, name, rule
FROM collection
WHERE tried_at IS NULL
   -- One that takes long waits longer: no collection is being evaluated for more than a tenth of
   -- the time.
   OR tried_at + greatest(%(interval)s, 10 * coalesce(took, '0')) <= %(now)s
   -- The clock was ahead and was set back.
   OR tried_at - %(interval)s > %(now)s
ORDER BY tried_at NULLS FIRST, id
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED;

-- name: evaluate
-- Writes who joined and who left since the last evaluation, and nothing about the others.
WITH found AS MATERIALIZED (SELECT c.client_id FROM {source}),
gone AS (
    DELETE FROM collection_member AS m
    WHERE m.collection = %(id)s
      AND NOT EXISTS (SELECT FROM found AS f WHERE f.client_id = m.client_id)
    RETURNING m.client_id),
new AS (
    INSERT INTO collection_member (collection, client_id, joined_at)
    SELECT %(id)s, f.client_id, %(now)s FROM found AS f
    WHERE NOT EXISTS (SELECT FROM collection_member AS m
                      WHERE m.collection = %(id)s AND m.client_id = f.client_id)
    RETURNING client_id)
SELECT (SELECT count(*) FROM new), (SELECT count(*) FROM gone),
    (SELECT coalesce(jsonb_object_agg(of.condition, of.members), '{{}}')
     FROM (SELECT k.condition, count(*) AS members
           FROM found AS f
           JOIN client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s) AS k
             ON k.client_id = f.client_id
           GROUP BY k.condition) AS of);

-- name: evaluated
UPDATE collection SET evaluated_at = %(now)s, tried_at = %(now)s,
    took = clock_timestamp() - now(), conditions = %(conditions)s::jsonb, problem = NULL
WHERE id = %(id)s;

-- name: failed
-- What was found before stays, with its moment.
UPDATE collection SET tried_at = %(now)s, problem = %(problem)s WHERE id = %(id)s RETURNING id;
