-- Finer counts of the workers: reports refused by reason, messages by verdict, durations in buckets.
--
-- Locks worker and worker_ended against everybody (ACCESS EXCLUSIVE) for some milliseconds. They
-- have a row for each run of a worker within a week, whatever the other tables hold; those are not
-- touched.

-- Whole numbers by name, which never fall (schemas/counts.py). An older loader that still runs
-- leaves the column as it is.
ALTER TABLE worker ADD COLUMN counts jsonb NOT NULL DEFAULT '{}';
ALTER TABLE worker_ended ADD COLUMN counts jsonb NOT NULL DEFAULT '{}';

-- Two sets of counts, of each the larger.
CREATE FUNCTION larger_counts(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(name, count), '{}')
    FROM (SELECT name, max(value::numeric) AS count
          FROM (SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other))
               AS told (name, value)
          GROUP BY name) AS largest;
END;

-- The sum of any number of sets.
CREATE FUNCTION sum_of_counts(several jsonb[]) RETURNS jsonb LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(name, count), '{}')
    FROM (SELECT name, sum(value::numeric) AS count
          FROM unnest(several) AS told (counts), jsonb_each_text(counts) AS each (name, value)
          GROUP BY name) AS sums;
END;

-- What older workers counted, without reason and verdict.
UPDATE worker SET counts = jsonb_build_object(
    'refused.unknown', greatest(refused - quarantined, 0), 'refused.quarantined', quarantined)
    || CASE role WHEN 'loader' THEN jsonb_build_object('loaded.unknown', messages) ELSE '{}' END;
UPDATE worker_ended SET counts = jsonb_build_object(
    'refused.unknown', greatest(refused - quarantined, 0), 'refused.quarantined', quarantined)
    || CASE role WHEN 'loader' THEN jsonb_build_object('loaded.unknown', messages) ELSE '{}' END;

-- What is new is for the roles that hold rights on `duty`.
SELECT grant_to_holders('SELECT', 'duty',
    'EXECUTE ON FUNCTION larger_counts, sum_of_counts');
