-- What the upkeep of partitions asks the catalogue.
--
-- A table is never judged by its name alone. An operator may detach a day to keep it, attach a
-- month, a foreign table or a DEFAULT partition, or take one of our names for something else.

-- name: missing_days
-- Days of %(days)s (dates, UTC) that no partition reaches into.
WITH partition AS (
    SELECT pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = %(parent)s::regclass
), span AS (
    -- No text between the brackets: MINVALUE or MAXVALUE. The session that writes the bounds as
    -- text also reads them, so its time zone and date style do not matter.
    SELECT coalesce(substring(bound FROM 'FROM \(''(.*)''\) TO')::timestamptz, '-infinity') AS low,
           coalesce(substring(bound FROM 'TO \(''(.*)''\)')::timestamptz, 'infinity') AS high
    FROM partition WHERE bound <> 'DEFAULT'
)
SELECT day FROM unnest(%(days)s::date[]) day
WHERE NOT EXISTS (
    SELECT FROM span
    WHERE low < (day + 1)::timestamp AT TIME ZONE 'UTC' AND high > day::timestamp AT TIME ZONE 'UTC'
)
ORDER BY day;

-- name: past_partitions
-- Our partitions of days before %(day)s: name and bounds both say that this is one day of ours.
SELECT c.relname
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
     substring(c.relname FROM '^state_message_([0-9]{8})(?:_[0-9]+)?$') AS named,
     pg_get_expr(c.relpartbound, c.oid) AS bound
WHERE i.inhparent = %(parent)s::regclass AND NOT i.inhdetachpending
AND c.relkind = 'r' AND c.relnamespace = %(schema)s::regnamespace
AND named < to_char(%(day)s::date, 'YYYYMMDD')
AND to_char(substring(bound FROM 'FROM \(''(.*)''\) TO')::timestamptz AT TIME ZONE 'UTC',
            'YYYYMMDD HH24:MI:SS.US') = named || ' 00:00:00.000000'
AND substring(bound FROM 'TO \(''(.*)''\)')::timestamptz
    = substring(bound FROM 'FROM \(''(.*)''\) TO')::timestamptz + interval '24 hours'
ORDER BY c.relname;

-- name: pending_partition
-- The one partition, if any, whose detaching was begun and not finished. It blocks every other.
SELECT n.nspname, c.relname
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = %(parent)s::regclass AND i.inhdetachpending;

-- name: detached_tables
-- Tables that the upkeep marked, then detached, and did not live to drop.
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
AND obj_description(c.oid, 'pg_class') = %(mark)s
ORDER BY c.relname;

-- name: has_default
SELECT EXISTS (
    SELECT FROM pg_partitioned_table WHERE partrelid = %(parent)s::regclass AND partdefid <> 0
);
