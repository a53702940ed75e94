-- Catalogue queries of partition maintenance.
--
-- A name alone does not identify our partitions. An operator may detach a day to keep it, attach a
-- month, a foreign table or a DEFAULT partition, or use one of our names for something else.

-- name: missing_days
-- Days of %(days)s (dates, UTC) that no partition overlaps.
WITH partition AS (
    SELECT pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = %(parent)s::regclass
), span AS (
    -- A bound without a quoted text is MINVALUE or MAXVALUE. The same session writes the bounds as
    -- text and parses them, so its time zone and date style do not matter.
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
-- Our partitions of days before %(day)s: both name and bounds are those of one day.
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
-- The partition, if any, with an unfinished detach, which blocks every other detach.
SELECT n.nspname, c.relname
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = %(parent)s::regclass AND i.inhdetachpending;

-- name: detached_tables
-- Tables that an interrupted maintenance marked and detached, but did not drop.
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
AND obj_description(c.oid, 'pg_class') = %(mark)s
ORDER BY c.relname;

-- name: has_default
SELECT EXISTS (
    SELECT FROM pg_partitioned_table WHERE partrelid = %(parent)s::regclass AND partdefid <> 0
);
