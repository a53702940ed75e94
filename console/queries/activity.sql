-- Who sends how much. Each query has a name and a purpose; `activity.py` has a method for each.

-- name: snapshots
-- The snapshots of the clients' counters that are kept, newest first. A moment that lies ahead is
-- from before the clock was set back.
SELECT number, least(taken_at, %(now)s) FROM statesys.activity_snapshot ORDER BY number DESC;

-- name: top_clients
-- The clients that sent most since a snapshot, and what they sent since another one.
SELECT s.client_id, c.name, s.hour, s.day
FROM statesys.sent_by_clients(%(hour)s, %(day)s) s JOIN statesys.client c USING (client_id)
WHERE CASE WHEN %(by_day)s THEN s.day ELSE s.hour END > 0
ORDER BY CASE WHEN %(by_day)s THEN s.day ELSE s.hour END DESC, s.day DESC, s.client_id
LIMIT %(limit)s;

-- name: kept_windows
-- The windows of the list that a loader keeps of a large site, in the order of KeptWindow.
SELECT name, begin_at, end_at, clients, messages, median FROM statesys.top_window;

-- name: kept_clients
-- The clients of that list, in the order of ClientActivity.
SELECT t.client_id, c.name, t.hour, t.day
FROM statesys.top_client t JOIN statesys.client c USING (client_id)
WHERE CASE WHEN %(by_day)s THEN t.day ELSE t.hour END > 0
ORDER BY CASE WHEN %(by_day)s THEN t.day ELSE t.hour END DESC, t.day DESC, t.client_id
LIMIT %(limit)s;

-- name: typical
-- Over all clients that sent anything since each snapshot: how many they are, what they sent in
-- all, and the median of it (the lower of two). Many clients share a count, so counting how often
-- each count occurs is quicker than sorting the clients.
WITH sent AS MATERIALIZED (
    SELECT hour, day, count(*) AS clients
    FROM statesys.sent_by_clients(%(hour)s, %(day)s) GROUP BY hour, day
), ranked AS (
    SELECT which, messages, sum(clients) AS clients,
           sum(sum(clients)) OVER (PARTITION BY which ORDER BY messages) AS up_to,
           sum(sum(clients)) OVER (PARTITION BY which) AS of_all
    FROM sent, LATERAL (VALUES ('hour', hour), ('day', day)) AS part(which, messages)
    WHERE messages > 0
    GROUP BY which, messages
)
SELECT which, sum(clients)::bigint, sum(clients * messages)::bigint,
       min(messages) FILTER (WHERE up_to * 2 >= of_all)
FROM ranked GROUP BY which;

-- name: first_topic_hour
-- The first hour of which there are counts by topic.
SELECT min(hour) FROM statesys.topic_activity;

-- name: top_topics
-- Messages by topic type in two windows that end now, and the median of the full hours before them
-- in which the type had any (null without one).
SELECT topic_type,
       coalesce(sum(messages) FILTER (WHERE hour >= %(hour)s), 0)::bigint AS hour,
       coalesce(sum(messages) FILTER (WHERE hour >= %(day)s), 0)::bigint AS day,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY messages) FILTER (WHERE hour < %(hour)s)
FROM statesys.topic_activity
WHERE hour <= %(now)s
GROUP BY topic_type
HAVING coalesce(sum(messages) FILTER (WHERE hour >= %(day)s), 0) > 0
ORDER BY CASE WHEN %(by_day)s THEN sum(messages) FILTER (WHERE hour >= %(day)s)
              ELSE sum(messages) FILTER (WHERE hour >= %(hour)s) END DESC NULLS LAST, 3 DESC, 1
LIMIT %(limit)s;

-- name: topic_totals
-- Messages of all topic types in two windows that end now.
SELECT coalesce(sum(messages) FILTER (WHERE hour >= %(hour)s), 0)::bigint,
       coalesce(sum(messages) FILTER (WHERE hour >= %(day)s), 0)::bigint
FROM statesys.topic_activity
WHERE hour <= %(now)s;
