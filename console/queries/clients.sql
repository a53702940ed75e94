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
-- looked up client by client, in the order of the list and only until the page is full: the inner
-- LIMIT, which no site reaches, keeps PostgreSQL from looking up all of them before it sorts.
WITH matching AS {materialized} (
    SELECT c.client_id, c.name, c.version, c.first_seen, c.last_seen, c.highest_serial,
           c.seen_hour, lower(c.name) COLLATE "C" AS folded
    FROM statesys.client AS c
    WHERE {where})
SELECT page.client_id, page.name, page.version, page.first_seen, page.last_seen,
       page.highest_serial, page.condition, s.last_change, s.states
FROM (SELECT c.*, k.condition
      FROM (SELECT * FROM matching AS c ORDER BY {order} LIMIT 1000000000) AS c
      CROSS JOIN LATERAL (
          SELECT condition
          FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
          WHERE client_id = c.client_id
          LIMIT 1) AS k
      WHERE {in_condition}
      ORDER BY {order}
      LIMIT %(limit)s) AS page
CROSS JOIN LATERAL (
    SELECT max(message_time) AS last_change, count(*) AS states
    FROM statesys.current_state WHERE client_id = page.client_id) AS s
ORDER BY {page_order};

-- name: in_condition
-- Of a CASE PostgreSQL expects that every second client fulfils it, of a comparison one in 200: then
-- it would prepare for looking up nearly all clients.
CASE WHEN k.condition = %(condition)s THEN true ELSE false END;

-- name: order_name
{of}.folded, {of}.client_id;

-- name: after_name
(lower(c.name) COLLATE "C", c.client_id)
    > (lower(%(after_name)s::text) COLLATE "C", %(after_client_id)s::uuid);

-- name: order_seen
-- Longest not heard of first. The index has the hour, and only its clients are sorted.
{of}.seen_hour, {of}.last_seen, {of}.client_id;

-- name: after_seen
(c.seen_hour, c.last_seen, c.client_id)
    > (date_trunc('hour', %(after_last_seen)s::timestamptz, 'UTC'), %(after_last_seen)s::timestamptz,
       %(after_client_id)s::uuid);

-- name: order_id
{of}.client_id;

-- name: after_id
c.client_id > %(after_client_id)s::uuid;

-- name: where_name
lower(c.name) COLLATE "C" LIKE %(name)s;

-- name: where_name_parts
-- Of a pattern with `*` these parts are in each name that fits; an index finds them.
statesys.name_parts(c.name) COLLATE "C" @> statesys.name_parts(%(name_parts)s);

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

-- Of each condition, what clients in it have in common, and an index finds.

-- name: where_gaps
c.client_id IN (SELECT client_id FROM statesys.missing_message_range WHERE closed_at IS NULL);

-- name: where_silent
c.client_id IN (SELECT client_id FROM statesys.silent(%(now)s, %(min_age)s));

-- name: where_duplicate_identity
c.client_id IN (SELECT client_id FROM statesys.duplicate_identity(%(now)s));

-- name: where_quiet
c.seen_hour <= %(now)s - 3 * %(heartbeat_interval)s
    AND c.last_seen <= %(now)s - 3 * %(heartbeat_interval)s;

-- name: where_complete
c.seen_hour > %(now)s - 3 * %(heartbeat_interval)s - interval '1 hour'
    AND c.last_seen > %(now)s - 3 * %(heartbeat_interval)s;

-- name: kept_at
-- When the loaders counted them last.
SELECT as_of FROM statesys.state_totals WHERE topic_type IS NULL LIMIT 1;
