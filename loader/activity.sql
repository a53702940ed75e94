-- Statements of the activity task: hourly snapshots of the clients' counters, and counts by topic.

-- name: lock
-- Of several loaders one writes a snapshot. Forgetting or erasing a client takes the same lock
-- shared: a snapshot that had read the client before would write its row anew.
SELECT pg_try_advisory_xact_lock(%(key)s);

-- name: exclusive_lock
SELECT pg_advisory_xact_lock(%(key)s);

-- name: shared_lock
SELECT pg_advisory_xact_lock_shared(%(key)s);

-- name: begin_snapshot
-- Returns the number of the new snapshot. If the clock was set back, earlier snapshots lie ahead of
-- it. Their true moments are not known; they were no later than now.
WITH moved AS (
    UPDATE activity_snapshot SET taken_at = %(now)s WHERE taken_at > %(now)s
)
INSERT INTO activity_snapshot (number, taken_at)
SELECT max(number) + 1, %(now)s FROM activity_snapshot
RETURNING number;

-- name: drop_snapshots
DELETE FROM activity_snapshot WHERE number <= %(number)s - 25;

-- name: continue_clients
-- Writes the clients that have sent something since their last row. The snapshots in between, at
-- which a client had sent nothing new, had the value of that row.
UPDATE client_activity a SET
    snapshot = %(number)s,
    totals = ((c.messages %% 2147483648)::integer
              || array_fill(a.totals[1], ARRAY[least(%(number)s - a.snapshot - 1, 24)])
              || a.totals)[1:25]
FROM client c
WHERE c.client_id = a.client_id AND (c.messages %% 2147483648)::integer <> a.totals[1];

-- name: begin_clients
-- Writes the clients that have sent something for the first time.
INSERT INTO client_activity (client_id, snapshot, totals)
SELECT c.client_id, %(number)s, ARRAY[(c.messages %% 2147483648)::integer]
FROM client c
WHERE c.messages > 0
  AND NOT EXISTS (SELECT FROM client_activity a WHERE a.client_id = c.client_id);

-- name: snapshots
-- Those that are kept, newest first. A moment that lies ahead is from before the clock was set back.
SELECT number, least(taken_at, %(now)s) FROM activity_snapshot ORDER BY number DESC;

-- name: clear_top
DELETE FROM top_client;

-- name: keep_top
-- Keeps the clients that sent most since each of two snapshots, and the medians over all clients
-- that sent anything (the lower of two). Many clients share a count, so counting how often each
-- occurs is quicker than sorting the clients.
WITH sent AS MATERIALIZED (
    SELECT * FROM sent_by_clients(%(hour_since)s, %(day_since)s)
), listed AS (
    INSERT INTO top_client (client_id, hour, day)
    (SELECT * FROM sent WHERE hour > 0 ORDER BY hour DESC, day DESC, client_id LIMIT %(most)s)
    UNION
    (SELECT * FROM sent WHERE day > 0 ORDER BY day DESC, client_id LIMIT %(most)s)
), counted AS (
    SELECT hour, day, count(*) AS clients FROM sent GROUP BY hour, day
), ranked AS (
    SELECT name, messages, sum(clients) AS clients,
           sum(sum(clients)) OVER (PARTITION BY name ORDER BY messages) AS up_to,
           sum(sum(clients)) OVER (PARTITION BY name) AS of_all
    FROM counted, LATERAL (VALUES ('hour', hour), ('day', day)) AS part(name, messages)
    WHERE messages > 0
    GROUP BY name, messages
)
INSERT INTO top_window AS w (name, begin_at, end_at, clients, messages, median)
SELECT v.name, v.begin_at, %(now)s, coalesce(sum(r.clients), 0)::bigint,
       coalesce(sum(r.clients * r.messages), 0)::bigint,
       coalesce(min(r.messages) FILTER (WHERE r.up_to * 2 >= r.of_all), 0)
FROM (VALUES ('hour', %(hour_begin)s), ('day', %(day_begin)s)) AS v(name, begin_at)
LEFT JOIN ranked r ON r.name = v.name
GROUP BY v.name, v.begin_at
ON CONFLICT (name) DO UPDATE SET
    begin_at = excluded.begin_at, end_at = excluded.end_at, clients = excluded.clients,
    messages = excluded.messages, median = excluded.median;

-- name: add_topics
-- Adds a loader's counts to the running hour, in key order: two loaders cannot deadlock. If the
-- clock was set back, hours that it has not reached again count in the running one, too. (A loader
-- may be in the next hour already, hence the minute.)
WITH ahead AS (
    DELETE FROM topic_activity WHERE hour > %(now)s + interval '1 minute'
    RETURNING topic_type, messages
)
INSERT INTO topic_activity AS t (hour, topic_type, messages)
SELECT date_trunc('hour', %(now)s, 'UTC'), topic_type, sum(messages)
FROM (SELECT * FROM ahead
      UNION ALL
      SELECT * FROM unnest(%(types)s::integer[], %(messages)s::bigint[])) counted
GROUP BY topic_type
ORDER BY topic_type
ON CONFLICT (hour, topic_type) DO UPDATE SET messages = t.messages + excluded.messages;

-- name: drop_topics
DELETE FROM topic_activity WHERE hour < %(now)s - %(retention)s;
