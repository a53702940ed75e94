-- The rules of the site, and the loaders that follow them.

-- name: rules
-- In the order of SiteRules.
SELECT min_missing_message_age, resync_merge_interval, resync_check_interval, resyncs_per_check,
       resync_backlog_threshold, heartbeat_interval
FROM site;

-- name: write_rules
-- The loader that starts last decides. A row that says the same already stays as it is, with who
-- wrote it and when, and is not locked either.
INSERT INTO site AS s (min_missing_message_age, resync_merge_interval, resync_check_interval,
    resyncs_per_check, resync_backlog_threshold, heartbeat_interval, origin, written_by, written_at)
SELECT ours.*, 'loader', %(name)s, now()
FROM (VALUES (%(min_missing_message_age)s, %(resync_merge_interval)s, %(resync_check_interval)s,
    %(resyncs_per_check)s, %(resync_backlog_threshold)s, %(heartbeat_interval)s)) AS ours
WHERE NOT EXISTS (
    SELECT FROM site w
    WHERE w.origin = 'loader'
      AND (w.min_missing_message_age, w.resync_merge_interval, w.resync_check_interval,
           w.resyncs_per_check, w.resync_backlog_threshold, w.heartbeat_interval)
        = (SELECT ours.*))
ON CONFLICT (one_row) DO UPDATE SET
    min_missing_message_age = excluded.min_missing_message_age,
    resync_merge_interval = excluded.resync_merge_interval,
    resync_check_interval = excluded.resync_check_interval,
    resyncs_per_check = excluded.resyncs_per_check,
    resync_backlog_threshold = excluded.resync_backlog_threshold,
    heartbeat_interval = excluded.heartbeat_interval,
    origin = excluded.origin, written_by = excluded.written_by, written_at = excluded.written_at;

-- name: seen
-- A loader is at work. Its duty may come by several times a second: once in 20 seconds is enough.
INSERT INTO loader (id, name, rules, started_at, seen_at)
VALUES (%(id)s, %(name)s, %(rules)s::jsonb, now(), now())
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
WHERE loader.seen_at < excluded.seen_at - interval '20 s'
   -- The clock was set back.
   OR loader.seen_at > excluded.seen_at;

-- name: forget_dead
-- Rows of loaders that were killed.
DELETE FROM loader WHERE seen_at < now() - interval '1 day';

-- name: leave
DELETE FROM loader WHERE id = %(id)s;
