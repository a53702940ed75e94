-- The workers of the site, from their heartbeats.

-- name: fold
-- Stores the newest heartbeat of a worker. One that comes again, or late, changes nothing: its
-- uptime is not larger.
INSERT INTO worker AS w (id, role, host, pid, version, started_at, first_seen_at, seen_at, ended_at,
    settings, uptime, reports, batches, chunks, messages, refused, quarantined, counts)
VALUES (%(worker_id)s, %(role)s, %(host)s, %(pid)s, %(version)s, %(started_at)s, now(), now(),
    CASE WHEN %(ended)s THEN now() END, %(settings)s::jsonb, %(uptime)s, %(reports)s, %(batches)s,
    %(chunks)s, %(messages)s, %(refused)s, %(quarantined)s, %(counts)s::jsonb)
ON CONFLICT (id) DO UPDATE SET
    seen_at = excluded.seen_at,
    ended_at = coalesce(w.ended_at, excluded.ended_at),
    settings = excluded.settings,
    was_uptime = w.uptime, was_reports = w.reports, was_messages = w.messages,
    uptime = excluded.uptime,
    reports = greatest(w.reports, excluded.reports),
    batches = greatest(w.batches, excluded.batches),
    chunks = greatest(w.chunks, excluded.chunks),
    messages = greatest(w.messages, excluded.messages),
    refused = greatest(w.refused, excluded.refused),
    quarantined = greatest(w.quarantined, excluded.quarantined),
    counts = larger_counts(w.counts, excluded.counts)
WHERE excluded.uptime > w.uptime;

-- name: retire
-- Removes workers that have not been seen for a week, and adds their counters to the sums.
WITH gone AS (
    DELETE FROM worker WHERE seen_at < now() - interval '7 days' RETURNING *
)
INSERT INTO worker_ended AS e (role, workers, reports, batches, chunks, messages, refused,
    quarantined, counts)
SELECT role, count(*), sum(reports), sum(batches), sum(chunks), sum(messages), sum(refused),
    sum(quarantined), sum_of_counts(array_agg(counts))
FROM gone GROUP BY role ORDER BY role
ON CONFLICT (role) DO UPDATE SET
    workers = e.workers + excluded.workers,
    reports = e.reports + excluded.reports,
    batches = e.batches + excluded.batches,
    chunks = e.chunks + excluded.chunks,
    messages = e.messages + excluded.messages,
    refused = e.refused + excluded.refused,
    quarantined = e.quarantined + excluded.quarantined,
    counts = sum_of_counts(ARRAY[e.counts, excluded.counts]);
