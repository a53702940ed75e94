-- What a bench asks of its own database.

-- name: begin_anew
-- Tables without the dead rows and the full pages of the run before.
DROP SCHEMA IF EXISTS statesys CASCADE

-- name: flush
-- No run writes the pages of the run before.
CHECKPOINT

-- name: loaded
SELECT count(*) FROM statesys.state_message

-- name: times
-- Seconds from the relay, and from the client (the report's Date), to the loader's transaction.
SELECT
    percentile_cont(ARRAY[0.5, 0.95, 0.99])
        WITHIN GROUP (ORDER BY extract(epoch FROM loaded_at - received_at)::float8) AS queue,
    percentile_cont(ARRAY[0.5, 0.95, 0.99])
        WITHIN GROUP (ORDER BY extract(epoch FROM loaded_at - report_date)::float8) AS total
FROM statesys.state_message
