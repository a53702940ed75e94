-- Which clients are in a state that few of them have.
--
-- Locks no existing table: it makes an empty one, in milliseconds, however large the others are.

-- There is no index on state_id, since with one PostgreSQL could not update a state within its page
-- (HOT). Without this table, a list of the few clients in a state would look at all that told of the
-- topic. It is written with each count of state_totals. topic_id null: the state in any topic of the
-- type.
CREATE TABLE rare_state (
    topic_type integer NOT NULL,
    topic_id   text COLLATE "C",
    state_id   bigint NOT NULL,
    client_ids uuid[] NOT NULL,
    as_of      timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (topic_type, topic_id, state_id)
);

-- The clients in each state of state_totals that at most so many have; it reads all current states.
CREATE FUNCTION clients_in_rare_states(most bigint)
RETURNS TABLE (topic_type integer, topic_id text, state_id bigint, client_ids uuid[])
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH rare AS MATERIALIZED (
        SELECT t.topic_type, t.topic_id, t.state_id
        FROM statesys.state_totals t
        WHERE t.state_id IS NOT NULL
        GROUP BY t.topic_type, t.topic_id, t.state_id HAVING sum(t.clients) <= most
    )
    SELECT r.topic_type, r.topic_id, r.state_id, array_agg(DISTINCT s.client_id)
    FROM rare r JOIN statesys.current_state s
        ON s.topic_type = r.topic_type AND s.topic_id = r.topic_id AND s.state_id = r.state_id
    GROUP BY r.topic_type, r.topic_id, r.state_id
    UNION ALL
    SELECT r.topic_type, NULL, r.state_id, array_agg(DISTINCT s.client_id)
    FROM rare r JOIN statesys.current_state s
        ON s.topic_type = r.topic_type AND s.state_id = r.state_id
    WHERE r.topic_id IS NULL
    GROUP BY r.topic_type, r.state_id;
END;

-- What is new is for the roles that hold rights on `duty`. An operator who may forget a client may
-- take it out of the lists.
SELECT grant_as('duty', 'rare_state');
SELECT grant_to_holders('DELETE', 'client', 'UPDATE ON rare_state');
SELECT grant_to_holders('SELECT', 'duty', 'EXECUTE ON FUNCTION clients_in_rare_states');
