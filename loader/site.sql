-- The rules of the site, and its running loaders.

-- name: write_rules
-- The loader that starts last decides. If a loader has written the same rules before, the row is
-- neither changed nor locked, and keeps its written_by and written_at.
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
-- Notes that a loader is running. Its resync task may call this several times a second, but a write
-- every 20 s is enough.
INSERT INTO loader (id, name, rules, started_at, seen_at)
VALUES (%(id)s, %(name)s, %(rules)s::jsonb, now(), now())
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
WHERE loader.seen_at < excluded.seen_at - interval '20 s'
   -- The database's clock was set back.
   OR loader.seen_at > excluded.seen_at;

-- name: forget_dead
-- Deletes rows of loaders that were killed.
DELETE FROM loader WHERE seen_at < now() - interval '1 day';

-- name: leave
DELETE FROM loader WHERE id = %(id)s;
