-- Queries about the workers of the site. `workers.py` has a method for each.
-- They only read. Tables are named with their schema, so that the search_path does not matter.

-- name: workers
-- Workers that have not told their end and were seen within the last day, in the order of
-- WorkerRow. Each tells about itself every 15 s: one that was not seen for a minute is lost (the
-- column is late).
SELECT id, role, host, pid, version, started_at, first_seen_at, seen_at,
       seen_at < %(now)s - interval '1 minute' AS late,
       (reports - was_reports) / nullif(uptime - was_uptime, 0) AS reports_per_second,
       (messages - was_messages) / nullif(uptime - was_uptime, 0) AS messages_per_second,
       reports, batches, chunks, messages, refused, quarantined, settings
FROM statesys.worker
WHERE ended_at IS NULL AND seen_at > %(now)s - interval '1 day'
ORDER BY role DESC, host COLLATE "C", first_seen_at, id;

-- name: worker_totals
-- What all workers of a role have done since the first heartbeat, those that have ended included.
SELECT role, sum(workers)::bigint, sum(reports), sum(batches), sum(chunks), sum(messages),
       sum(refused), sum(quarantined)
FROM (SELECT role, workers, reports, batches, chunks, messages, refused, quarantined
      FROM statesys.worker_ended
      UNION ALL
      SELECT role, 1, reports, batches, chunks, messages, refused, quarantined
      FROM statesys.worker) AS each
GROUP BY role ORDER BY role DESC;

-- name: worker_counts
-- The finer counts of all workers of a role, those that have ended included.
SELECT role, name, sum(value::numeric)
FROM (SELECT role, counts FROM statesys.worker_ended
      UNION ALL
      SELECT role, counts FROM statesys.worker) AS told,
     jsonb_each_text(counts) AS each (name, value)
GROUP BY role, name ORDER BY role DESC, name;

-- name: in_quarantine
-- How many clients are in quarantine, and since when the first of them.
SELECT count(*), min(since) FROM statesys.client_quarantine;

-- name: task_runs
-- When each periodic task of the loaders was done last.
SELECT name, done_at FROM statesys.duty ORDER BY name COLLATE "C";
