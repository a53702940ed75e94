-- The queries of `statesys compliance`. Each has a name and a purpose; `compliance.py` has a method
-- for each. They only read. A null topic_id means all topics of the type.

-- name: kept_state_totals
-- The numbers of a topic or type that the loaders counted last, and those of all clients, which
-- were counted in the same moment.
SELECT topic_type, topic_id, state_id, condition, clients, as_of
FROM statesys.state_totals
WHERE topic_type IS NULL
   OR (topic_type = %(topic_type)s AND topic_id IS NOT DISTINCT FROM %(topic_id)s);

-- name: counted_state_totals
-- The same, counted now.
SELECT topic_type, topic_id, state_id, condition, clients, %(now)s::timestamptz
FROM statesys.count_state_totals(%(now)s, %(min_age)s, %(heartbeat_interval)s,
                                 %(topic_type)s, %(topic_id)s);

-- name: small_topic_totals
-- The numbers of a topic that few clients tell of, counted now by looking each of them up.
SELECT topic_type, topic_id, state_id, condition, clients, %(now)s::timestamptz
FROM statesys.count_small_topic(%(now)s, %(min_age)s, %(heartbeat_interval)s,
                                %(topic_type)s, %(topic_id)s);

-- name: clients_in_state
-- The clients that have one of these states, in the order of their ids. A client with several
-- topics or users in the state has it since the first of them.
SELECT c.name, c.client_id, told.since, c.last_seen, one.condition
FROM (SELECT client_id, min(message_time) AS since
      FROM statesys.current_state
      WHERE topic_type = %(topic_type)s
        AND (%(topic_id)s::text IS NULL OR topic_id = %(topic_id)s::text)
        AND state_id = ANY(%(state_ids)s::bigint[])
        AND (%(after)s::uuid IS NULL OR client_id > %(after)s::uuid)
        AND (%(until)s::uuid IS NULL OR client_id <= %(until)s::uuid)
        AND (%(among)s::uuid[] IS NULL OR client_id = ANY(%(among)s::uuid[]))
      GROUP BY client_id
      ORDER BY client_id
      LIMIT %(limit)s) AS told
JOIN statesys.client AS c ON c.client_id = told.client_id
-- LIMIT 1 makes PostgreSQL look each client of the list up.
CROSS JOIN LATERAL (SELECT condition
                    FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
                    WHERE client_id = told.client_id
                    LIMIT 1) AS one
ORDER BY c.client_id;

-- name: rare_states
-- The clients of states that few had when the loaders counted last.
SELECT state_id, client_ids, as_of
FROM statesys.rare_state
WHERE topic_type = %(topic_type)s AND topic_id IS NOT DISTINCT FROM %(topic_id)s
  AND state_id = ANY(%(state_ids)s::bigint[]);

-- name: clients_without_state
-- The clients that never told of the topic, in the order of their ids.
SELECT c.name, c.client_id, NULL, c.last_seen, one.condition
FROM (SELECT name, client_id, last_seen
      FROM statesys.client AS all_clients
      WHERE (%(after)s::uuid IS NULL OR client_id > %(after)s::uuid)
        AND (%(until)s::uuid IS NULL OR client_id <= %(until)s::uuid)
        AND NOT EXISTS (
            SELECT FROM statesys.current_state AS s
            WHERE s.client_id = all_clients.client_id AND s.topic_type = %(topic_type)s
              AND (%(topic_id)s::text IS NULL OR s.topic_id = %(topic_id)s::text))
      ORDER BY client_id
      LIMIT %(limit)s) AS c
CROSS JOIN LATERAL (SELECT condition
                    FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
                    WHERE client_id = c.client_id
                    LIMIT 1) AS one
ORDER BY c.client_id;

-- name: kept_told
-- How many clients told of each topic type, as the loaders counted last.
SELECT topic_type, sum(clients)::bigint, min(as_of)
FROM statesys.state_totals
WHERE topic_type IS NOT NULL AND topic_id IS NULL AND state_id IS NULL
GROUP BY topic_type
ORDER BY topic_type;

-- name: counted_told
-- The same, counted now.
SELECT topic_type, count(DISTINCT client_id), %(now)s::timestamptz
FROM statesys.current_state
GROUP BY topic_type
ORDER BY topic_type;

-- name: topic_ids
-- One page of the topic ids of a type, and how many clients told of each. The index is entered once
-- for each id, so that an id of a million clients costs no more than one of a single client. A topic
-- that the loaders counted has their number; of another one, so many states are counted at most.
WITH RECURSIVE ids AS (
    (SELECT topic_id, 1 AS number
     FROM statesys.current_state
     WHERE topic_type = %(topic_type)s
       AND (%(after)s::text IS NULL OR topic_id > %(after)s::text)
     ORDER BY topic_id
     LIMIT 1)
    UNION ALL
    SELECT next.topic_id, ids.number + 1
    FROM ids
    CROSS JOIN LATERAL (
        SELECT topic_id
        FROM statesys.current_state
        WHERE topic_type = %(topic_type)s AND topic_id > ids.topic_id
        ORDER BY topic_id
        LIMIT 1) AS next
    WHERE ids.number < %(limit)s
)
SELECT ids.topic_id, coalesce(kept.clients, few.clients),
       kept.clients IS NOT NULL OR (few.states <= %(most)s) IS NOT FALSE
FROM ids
LEFT JOIN LATERAL (
    SELECT sum(clients)::bigint AS clients
    FROM statesys.state_totals
    WHERE %(kept)s AND topic_type = %(topic_type)s AND topic_id = ids.topic_id
      AND state_id IS NULL) AS kept ON true
LEFT JOIN LATERAL (
    SELECT count(DISTINCT client_id) AS clients, count(*) AS states
    FROM (SELECT client_id
          FROM statesys.current_state
          WHERE topic_type = %(topic_type)s AND topic_id = ids.topic_id
            AND kept.clients IS NULL
          LIMIT %(most)s + 1) AS s) AS few ON true
ORDER BY ids.number;

-- name: client_behind
-- The client that is so many behind another one, by id; no row when fewer follow.
SELECT client_id
FROM statesys.client
WHERE %(after)s::uuid IS NULL OR client_id > %(after)s::uuid
ORDER BY client_id
OFFSET %(clients)s::bigint - 1
LIMIT 1;
