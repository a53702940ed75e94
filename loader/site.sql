-- The rules of the site, and its running loaders.

-- name: write
-- The row is there, and locked.
UPDATE site SET
    min_missing_message_age = %(min_missing_message_age)s,
    resync_merge_interval = %(resync_merge_interval)s,
    resync_check_interval = %(resync_check_interval)s,
    resyncs_per_check = %(resyncs_per_check)s,
    resync_backlog_threshold = %(resync_backlog_threshold)s,
    heartbeat_interval = %(heartbeat_interval)s,
    loader_threads = %(loader_threads)s,
    loader_chunk_size = %(loader_chunk_size)s,
    max_chunks_fetched = %(max_chunks_fetched)s,
    imported = %(imported)s, origin = %(origin)s, written_by = %(name)s, written_at = now();

-- name: restore
-- A loader that starts writes the row if it was lost.
INSERT INTO site (min_missing_message_age, resync_merge_interval, resync_check_interval,
    resyncs_per_check, resync_backlog_threshold, heartbeat_interval, origin, written_by, written_at)
SELECT %(min_missing_message_age)s, %(resync_merge_interval)s, %(resync_check_interval)s,
    %(resyncs_per_check)s, %(resync_backlog_threshold)s, %(heartbeat_interval)s, 'loader', %(name)s,
    now()
WHERE NOT EXISTS (SELECT FROM site)
ON CONFLICT DO NOTHING;

-- name: seen
-- Notes that a loader is running. Its resync task may call this several times a second, but a write
-- every 20 s is enough.
INSERT INTO loader (id, name, rules, given, started_at, seen_at)
VALUES (%(id)s, %(name)s, %(rules)s::jsonb, %(given)s, now(), now())
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
WHERE loader.seen_at < excluded.seen_at - interval '20 s'
   -- The database's clock was set back.
   OR loader.seen_at > excluded.seen_at;

-- name: forget_dead
-- Deletes rows of loaders that were killed.
DELETE FROM loader WHERE seen_at < now() - interval '1 day';

-- name: leave
DELETE FROM loader WHERE id = %(id)s;
