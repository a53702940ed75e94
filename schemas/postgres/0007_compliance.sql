-- How many clients are in which state, and the index that lists them.
--
-- Locks current_state against writers (SHARE) while its new index is built: 16 s with 10,000,000
-- current states (2.3 GB; the index has 0.7 GB), by the clock of two cores with load 3. Loaders that
-- run wait, and go on afterwards. No other table that loaders write to is locked.
--
-- The hourly count of 10,000,000 current states of 1,000,000 clients takes 32 s of CPU where most
-- clients are complete, and 58 s where hardly any is, in one session; it locks no row of theirs.
--
-- Many topic ids: a topic with fewer than 1,000 current states gets no rows in state_totals, because
-- counting it when somebody asks takes milliseconds. So topics of one client each, of which there
-- may be millions, leave no rows; the table has a row for each state and condition of a larger
-- topic, some hundreds or thousands in practice, and at worst two rows for each current state,
-- where each client has a state id of its own. To find the larger topics the hourly count groups by
-- all of them: 6 s of CPU for 10,000,000 current states with 1,000,100 topic ids, and temporary
-- files where 64 MB of memory do not suffice.

-- None of its columns ever changes, so updates of a state stay HOT.
CREATE INDEX current_state_topic ON current_state (topic_type, topic_id, client_id);

-- Numbers of clients, as they were at one moment; replaced about once an hour. A null stands for
-- any: (301, null, 6) counts the clients with state 6 in any topic of type 301, (301, null, null)
-- those with any state of the type, (null, null, null) all clients. A client counts once in a row,
-- however many users or topics bring it there; so rows of several states may count it several times.
CREATE TABLE state_totals (
    topic_type integer,
    topic_id   text COLLATE "C",
    state_id   bigint,
    condition  text COLLATE "C" NOT NULL,
    clients    bigint NOT NULL,
    as_of      timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (topic_type, topic_id, state_id, condition)
);

-- What is in state_totals, counted now: everything, or what concerns a type or a topic.
--
-- only_type and only_id: null means all. With only_type, the rows of the type (topic_id null); with
-- only_id too, those of the topic. min_states: leaves out topics with fewer current states.
CREATE FUNCTION count_state_totals(now timestamptz, min_age interval, heartbeat_interval interval,
                                   only_type integer DEFAULT NULL, only_id text DEFAULT NULL,
                                   min_states bigint DEFAULT 1)
RETURNS TABLE (topic_type integer, topic_id text, state_id bigint, condition text, clients bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- Most clients are complete. Only the others are joined to their states; the complete ones are
    -- all without these. That spares most of the time. (OFFSET 0 has the conditions computed before
    -- the join, and leaves the planner what it knows of client ids; of a materialized table it
    -- would know nothing, and hash the states instead.)
    WITH others AS NOT MATERIALIZED (
        SELECT c.client_id, c.condition
        FROM statesys.client_condition(now, min_age, heartbeat_interval) c
        WHERE c.condition <> 'complete' OFFSET 0
    ),
    -- Users of one machine have rows of their own. Of those that bring a client to one place, the
    -- first is counted. The machine's own state comes before those of its users, and is the first
    -- without looking; that is nearly all of the table.
    marked AS NOT MATERIALIZED (
        SELECT s.client_id, s.topic_type, s.topic_id, s.state_id,
            s.user_sid = '' OR NOT EXISTS (
                SELECT FROM statesys.current_state o
                WHERE o.client_id = s.client_id AND o.topic_type = s.topic_type
                  AND o.topic_id = s.topic_id AND o.user_sid < s.user_sid
                  AND o.state_id = s.state_id) AS first_of_state,
            s.user_sid = '' OR NOT EXISTS (
                SELECT FROM statesys.current_state o
                WHERE o.client_id = s.client_id AND o.topic_type = s.topic_type
                  AND o.topic_id = s.topic_id AND o.user_sid < s.user_sid) AS first_of_topic
        FROM statesys.current_state s
        WHERE (only_type IS NULL OR only_id IS NOT NULL)
          AND (only_type IS NULL OR s.topic_type = only_type)
          AND (only_id IS NULL OR s.topic_id = only_id)
    ),
    of_all AS MATERIALIZED (
        SELECT m.topic_type, m.topic_id, m.state_id, count(*) AS states,
            count(*) FILTER (WHERE m.first_of_state) AS in_state,
            count(*) FILTER (WHERE m.first_of_topic) AS in_any
        FROM marked m
        GROUP BY m.topic_type, m.topic_id, m.state_id
    ),
    of_others AS MATERIALIZED (
        SELECT m.topic_type, m.topic_id, m.state_id, c.condition,
            count(*) FILTER (WHERE m.first_of_state) AS in_state,
            count(*) FILTER (WHERE m.first_of_topic) AS in_any
        FROM marked m JOIN others c ON c.client_id = m.client_id
        GROUP BY m.topic_type, m.topic_id, m.state_id, c.condition
    ),
    large AS MATERIALIZED (
        SELECT a.topic_type, a.topic_id FROM of_all a
        GROUP BY a.topic_type, a.topic_id HAVING sum(a.states) >= min_states
    ),
    in_topics AS MATERIALIZED (
        SELECT t.topic_type, t.topic_id, t.state_id, t.condition,
            sum(t.in_state)::bigint AS in_state, sum(t.in_any)::bigint AS in_any
        FROM (
            SELECT a.topic_type, a.topic_id, a.state_id, 'complete', a.in_state, a.in_any
            FROM of_all a
            UNION ALL
            SELECT c.topic_type, c.topic_id, c.state_id, 'complete', -c.in_state, -c.in_any
            FROM of_others c
            UNION ALL
            SELECT c.topic_type, c.topic_id, c.state_id, c.condition, c.in_state, c.in_any
            FROM of_others c
        ) t(topic_type, topic_id, state_id, condition, in_state, in_any)
        JOIN large l ON l.topic_type = t.topic_type AND l.topic_id = t.topic_id
        GROUP BY t.topic_type, t.topic_id, t.state_id, t.condition
    ),
    -- Many clients have several topics of a type, so all states of a client and type are sorted;
    -- the first of each state counts. (DISTINCT takes twice the time: it would be a hash.)
    in_types AS MATERIALIZED (
        SELECT s.topic_type, s.state_id, coalesce(c.condition, 'complete') AS condition,
            count(*) AS in_state, count(*) FILTER (WHERE s.first_of_type) AS in_any
        FROM (SELECT o.client_id, o.topic_type, o.state_id,
                     lag(o.state_id) OVER of_type IS DISTINCT FROM o.state_id AS first_of_state,
                     row_number() OVER of_type = 1 AS first_of_type
              FROM statesys.current_state o
              WHERE only_id IS NULL AND (only_type IS NULL OR o.topic_type = only_type)
              WINDOW of_type AS (PARTITION BY o.client_id, o.topic_type ORDER BY o.state_id)) s
        LEFT JOIN others c ON c.client_id = s.client_id
        WHERE s.first_of_state
        GROUP BY s.topic_type, s.state_id, coalesce(c.condition, 'complete')
    )
    SELECT i.topic_type, i.topic_id, i.state_id, i.condition, i.in_state
    FROM in_topics i WHERE i.in_state > 0
    UNION ALL
    SELECT i.topic_type, i.topic_id, NULL, i.condition, sum(i.in_any)::bigint
    FROM in_topics i
    GROUP BY i.topic_type, i.topic_id, i.condition HAVING sum(i.in_any) > 0
    UNION ALL
    SELECT i.topic_type, NULL, i.state_id, i.condition, i.in_state
    FROM in_types i
    UNION ALL
    SELECT i.topic_type, NULL, NULL, i.condition, sum(i.in_any)::bigint
    FROM in_types i GROUP BY i.topic_type, i.condition HAVING sum(i.in_any) > 0
    UNION ALL
    SELECT NULL, NULL, NULL, c.condition, count(*)
    FROM statesys.client_condition(now, min_age, heartbeat_interval) c
    GROUP BY c.condition;
END;

-- The rows of count_state_totals for one topic that few clients tell of: it looks each of them up,
-- where that function reads all clients.
CREATE FUNCTION count_small_topic(now timestamptz, min_age interval, heartbeat_interval interval,
                                  of_type integer, of_id text)
RETURNS TABLE (topic_type integer, topic_id text, state_id bigint, condition text, clients bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH told AS MATERIALIZED (
        SELECT DISTINCT s.client_id, s.state_id FROM statesys.current_state s
        WHERE s.topic_type = of_type AND s.topic_id = of_id
    ),
    conditions AS MATERIALIZED (
        SELECT t.client_id, one.condition
        FROM (SELECT DISTINCT told.client_id FROM told) t
        -- LIMIT 1 makes PostgreSQL look each client up.
        CROSS JOIN LATERAL (
            SELECT c.condition FROM statesys.client_condition(now, min_age, heartbeat_interval) c
            WHERE c.client_id = t.client_id LIMIT 1) one
    )
    SELECT of_type, of_id, t.state_id, c.condition, count(*)
    FROM told t JOIN conditions c ON c.client_id = t.client_id
    GROUP BY t.state_id, c.condition
    UNION ALL
    SELECT of_type, of_id, NULL, c.condition, count(*)
    FROM conditions c GROUP BY c.condition;
END;

-- What is new is for the roles that hold rights on `duty`.
SELECT grant_as('duty', 'state_totals');
SELECT grant_to_holders('SELECT', 'duty',
    'EXECUTE ON FUNCTION count_state_totals, count_small_topic');
