-- Earlier data of the site, the same rows that loaders would have left. Set-based statements
-- write them in a fraction of the time. Report r is of client r modulo :clients; the ids are
-- hashes, so the indexes are filled in random order, as by real clients.
--
-- Names: report r, message p of a report, number of a client (its id is the hash of it).

-- name: report_at
-- When a report was loaded: as many in each day, today's between midnight and now.
CREATE FUNCTION pg_temp.report_at(report bigint, reports bigint, days integer, until timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc('day', until) + (floor(x) - days + 1) * interval '1 day'
        + (x - floor(x)) * CASE WHEN floor(x) = days - 1
            THEN until - date_trunc('day', until) ELSE interval '1 day' END
    FROM (SELECT (report + 0.5::float8) * days / reports) AS place(x)
$$

-- name: fill_clients
-- Ordered by a hash of the number, so that the clients of a job lie scattered over the table.
INSERT INTO statesys.client (
    client_id, name, version, highest_serial, highest_report_date, accounted, first_seen,
    last_seen, last_message_time, superseded, messages)
SELECT
    md5('statesys bench ' || number)::uuid,
    'PC' || lpad(number::text, greatest(6, length(number::text)), '0'), '5.00.9128.1000',
    highest, last_at - interval '1 s',
    int8multirange(int8range(1, highest + 1))
        - CASE WHEN gap THEN '{[2,3)}'::int8multirange ELSE '{}' END,
    pg_temp.report_at(number, %(reports)s, %(days)s, %(until)s),
    last_at - interval '0.2 s', last_at - interval '1 min', sent * greatest(%(size)s - 2, 0),
    sent * %(size)s
FROM generate_series(0, %(clients)s::bigint - 1) AS number,
LATERAL (
    SELECT %(reports)s / %(clients)s + (number < %(reports)s %% %(clients)s)::integer
) AS turns(sent),
LATERAL (SELECT number %% %(gap_every)s = 0 AND sent * %(size)s > 1) AS lacking(gap),
LATERAL (SELECT sent * %(size)s + gap::integer) AS serials(highest),
LATERAL (
    SELECT pg_temp.report_at(
        number + (sent - 1) * %(clients)s, %(reports)s, %(days)s, %(until)s)
) AS moments(last_at)
ORDER BY hashint8(number)

-- name: fill_ranges
-- Detected just now: too young for a resync request during the run.
INSERT INTO statesys.missing_message_range (client_id, first_serial, last_serial, detected_at)
SELECT client_id, 2, 2, %(until)s
FROM statesys.client WHERE highest_serial > 2 AND NOT accounted @> 2::bigint

-- name: fill_snapshots
-- Those of the last 25 hours. The migration has made one.
WITH earlier AS (DELETE FROM statesys.activity_snapshot)
INSERT INTO statesys.activity_snapshot (number, taken_at)
SELECT n, %(until)s - interval '30 min' - (25 - n) * interval '1 hour'
FROM generate_series(1, 25) AS n

-- name: fill_activity
-- Each client sent one of its reports in each of the last hours, as far as they go.
INSERT INTO statesys.client_activity (client_id, snapshot, totals)
SELECT client_id, 25, ARRAY(
    SELECT greatest(c.messages - n * %(size)s, 0)::integer FROM generate_series(1, 25) AS n)
FROM statesys.client c

-- name: fill_topics
INSERT INTO statesys.topic_activity (hour, topic_type, messages)
SELECT date_trunc('hour', %(until)s, 'UTC') - ago * interval '1 hour', topic_type,
    1 + %(reports)s * parts / 192
FROM generate_series(0, 191) AS ago, (VALUES (500, 1), (402, %(size)s - 1)) AS part(topic_type, parts)

-- name: fill_messages
-- Reports %(first)s to %(last)s, without the last. Each report is about one update: the first
-- message says that it is required (topic type 500; of 50,000 clients one says installed), the
-- others how its deployment went (402).
-- So the first and the last message are current.
WITH report AS MATERIALIZED (
    SELECT
        r, number, r / %(clients)s * %(size)s AS before, update,
        md5('statesys bench ' || number)::uuid AS client_id,
        md5('statesys update ' || update)::uuid::text AS topic_id,
        md5('statesys SMX ' || r)::uuid AS smx_id,
        md5('statesys batch ' || r / 150)::uuid AS batch_id,
        pg_temp.report_at(r, %(reports)s, %(days)s, %(until)s) AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS r,
    LATERAL (
        SELECT r %% %(clients)s, r / %(clients)s * 20 + r %% %(clients)s %% 20
    ) AS whose(number, update)
),
made AS MATERIALIZED (
    SELECT
        client_id, topic_id, smx_id, batch_id, at,
        before + p + 1 + (number %% %(gap_every)s = 0 AND before + p > 0)::integer AS serial,
        decode(md5('statesys message ' || r || ' ' || p), 'hex') AS digest,
        CASE WHEN p = 0 THEN 500 ELSE 402 END AS topic_type,
        CASE WHEN p = 0 THEN CASE number %% 50000 WHEN 7 THEN 3 ELSE 2 END
             ELSE (ARRAY[12, 8, 10])[1 + (p - 1) %% 3] END AS state_id,
        CASE WHEN p = 0 THEN ARRAY[(100 + update %% 9)::text]
             ELSE ARRAY['Cumulative Update for Windows (KB' || 5030000 + update || ')']
        END AS params,
        at - interval '1 min' AS message_time,
        p = 0 OR p = %(size)s - 1 AS is_current
    FROM report, generate_series(0, %(size)s - 1) AS p
    ORDER BY r, p
),
stored AS (
    INSERT INTO statesys.state_message (
        client_id, serial, digest, topic_type, topic_id, id_type, user_name, user_sid, state_id,
        criticality, message_time, params, report_date, forwarded_at, received_at, smx_id,
        batch_id, loaded_at)
    SELECT client_id, serial, digest, topic_type, topic_id, 3, '', '', state_id,
        0, message_time, params, at - interval '1 s', at - interval '1 s',
        at - interval '0.2 s', smx_id, batch_id, at
    FROM made
)
INSERT INTO statesys.current_state (
    client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
    message_time, digest, params)
SELECT client_id, topic_type, topic_id, '', 3, state_id, 0, serial, message_time, digest, params
FROM made WHERE is_current

-- name: vacuum
-- As on a site that has run for long: the planner has statistics, and no page awaits a vacuum.
VACUUM (ANALYZE) statesys.client, statesys.state_message, statesys.current_state,
    statesys.missing_message_range, statesys.client_activity

-- name: begin_anew
-- New tables, without the dead rows and the full pages of the previous run.
DROP SCHEMA IF EXISTS statesys CASCADE

-- name: flush
-- Write the pages now, so that the next run does not have to.
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
-- Days of the history, including those that are detached and not yet dropped.
SELECT relname FROM pg_class
WHERE relnamespace = 'statesys'::regnamespace AND relkind = 'r'
  AND relname ~ '^state_message_[0-9]{8}$'

-- name: begin_reading
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: read
-- Takes a lock on every partition, and keeps it with the snapshot.
SELECT FROM statesys.state_message LIMIT 1
