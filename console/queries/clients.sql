-- Lists of clients, and how many are in which condition.

-- name: kept_conditions
-- How many clients are in which condition, as the loaders counted them last.
SELECT condition, clients FROM statesys.state_totals WHERE topic_type IS NULL;

-- name: counted_conditions
-- The same, counted now.
SELECT condition, count(*)
FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
GROUP BY condition;

-- name: clients
-- One page of a list of clients. The parts below fill the gaps in braces. Conditions and states are
-- looked up client by client, so the other parts should leave few clients.
SELECT page.client_id, page.name, page.version, page.first_seen, page.last_seen,
       page.highest_serial, page.condition, s.last_change, s.states
FROM (SELECT c.*, k.condition
      FROM statesys.client AS c
      CROSS JOIN LATERAL (
          SELECT condition
          FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
          WHERE client_id = c.client_id
          LIMIT 1) AS k
      WHERE {where}
      ORDER BY {order}
      LIMIT %(limit)s) AS page
CROSS JOIN LATERAL (
    SELECT max(message_time) AS last_change, count(*) AS states
    FROM statesys.current_state WHERE client_id = page.client_id) AS s
ORDER BY {page_order};

-- name: order_name
lower({of}.name) COLLATE "C", {of}.client_id;

-- name: after_name
(lower(c.name) COLLATE "C", c.client_id) > (
    SELECT lower(name) COLLATE "C", client_id FROM statesys.client WHERE client_id = %(after)s);

-- name: order_seen
-- Longest not heard of first. The index has the hour, and only its clients are sorted.
{of}.seen_hour, {of}.last_seen, {of}.client_id;

-- name: after_seen
(c.seen_hour, c.last_seen, c.client_id) > (
    SELECT seen_hour, last_seen, client_id FROM statesys.client WHERE client_id = %(after)s);

-- name: order_id
{of}.client_id;

-- name: after_id
c.client_id > %(after)s;

-- name: where_name
lower(c.name) COLLATE "C" LIKE %(name)s;

-- name: where_version
c.version LIKE %(version)s;

-- name: where_stale
-- The hour is for the index.
c.last_seen <= %(now)s - %(stale)s AND c.seen_hour <= %(now)s - %(stale)s;

-- name: where_collection
-- The members that the last evaluation found.
c.client_id IN (SELECT m.client_id FROM statesys.collection_member AS m
                JOIN statesys.collection AS o ON o.id = m.collection
                WHERE lower(o.name) = lower(%(collection)s));

-- name: evaluated
-- When a collection was evaluated last; no row when there is none of the name.
SELECT evaluated_at FROM statesys.collection WHERE lower(name) = lower(%(collection)s);

-- name: where_gaps
c.client_id IN (SELECT client_id FROM statesys.missing_message_range WHERE closed_at IS NULL)
    AND k.condition = 'gaps';

-- name: where_silent
c.client_id IN (SELECT client_id FROM statesys.silent(%(now)s, %(min_age)s))
    AND k.condition = 'silent';

-- name: where_duplicate_identity
c.client_id IN (SELECT client_id FROM statesys.duplicate_identity(%(now)s))
    AND k.condition = 'duplicate identity';

-- name: where_quiet
c.seen_hour <= %(now)s - 3 * %(heartbeat_interval)s AND k.condition = 'quiet';

-- name: where_complete
c.seen_hour > %(now)s - 3 * %(heartbeat_interval)s - interval '1 hour'
    AND k.condition = 'complete';

-- name: kept_at
-- When the loaders counted them last.
SELECT as_of FROM statesys.state_totals WHERE topic_type IS NULL LIMIT 1;
