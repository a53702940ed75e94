-- What a bench asks of its own database.

-- name: begin_anew
-- Tables without the dead rows and the full pages of the run before.
DROP SCHEMA IF EXISTS statesys CASCADE

-- name: flush
-- No run writes the pages of the run before.
CHECKPOINT

-- name: loaded
SELECT count(*) FROM statesys.state_message WHERE loaded_at >= to_timestamp(%s)

-- name: times
-- Seconds from the relay, and from the client (the report's Date), to the loader's transaction.
SELECT
    percentile_cont(ARRAY[0.5, 0.95, 0.99])
        WITHIN GROUP (ORDER BY extract(epoch FROM loaded_at - received_at)::float8) AS queue,
    percentile_cont(ARRAY[0.5, 0.95, 0.99])
        WITHIN GROUP (ORDER BY extract(epoch FROM loaded_at - report_date)::float8) AS total
FROM statesys.state_message WHERE loaded_at >= to_timestamp(%s)

-- name: partitions
-- Days of the history, those included that are detached and not dropped yet.
SELECT relname FROM pg_class
WHERE relnamespace = 'statesys'::regnamespace AND relkind = 'r'
  AND relname ~ '^state_message_[0-9]{8}$'

-- name: begin_reading
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: read
-- Takes a lock on every partition, and keeps it with the snapshot.
SELECT FROM statesys.state_message LIMIT 1
