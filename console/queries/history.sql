-- The history as its partitions tell it.

-- name: kept_history
-- How far back the history reaches, and how large it is, by the catalogue: no row is read. A day is
-- full if it is over. Days before the oldest one with rows do not count; a partition of an operator
-- may hold several days. (`partitions.sql` of the loader explains the bounds.)
WITH partition AS (
    SELECT substring(bound FROM 'FROM \(''(.*)''\) TO')::timestamptz AS low,
           substring(bound FROM 'TO \(''(.*)''\)')::timestamptz AS high,
           bound = 'DEFAULT' AS is_default, size.pages, size.bytes
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
         pg_get_expr(c.relpartbound, c.oid) AS bound,
         LATERAL (SELECT coalesce(sum(pg_relation_size(relid)), 0)::bigint,
                         coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
                  FROM pg_partition_tree(c.oid)) AS size(pages, bytes)
    WHERE i.inhparent = 'statesys.state_message'::regclass
), today AS (
    SELECT date_trunc('day', %(now)s, 'UTC') AS begin
), oldest AS (
    SELECT min(low) AS low FROM partition WHERE pages > 0
), kept AS (
    SELECT p.*, p.low >= o.low AND p.high <= t.begin AS is_full
    FROM partition p CROSS JOIN today t CROSS JOIN oldest o
)
SELECT (SELECT (low AT TIME ZONE 'UTC')::date FROM oldest),
       coalesce(sum(bytes), 0)::bigint,
       coalesce(sum(extract(epoch FROM high - low) / 86400) FILTER (WHERE is_full), 0)::integer,
       coalesce(sum(bytes) FILTER (WHERE is_full), 0)::bigint,
       -- Rows are about equally dense in all partitions.
       coalesce(sum(pages) FILTER (WHERE is_full) / nullif(sum(pages), 0), 0)::float8,
       coalesce(sum(extract(epoch FROM high - low) / 86400)
                    FILTER (WHERE low > t.begin), 0)::integer,
       coalesce(bool_or(is_default OR (low <= t.begin AND high > t.begin)), false)
FROM kept CROSS JOIN today t;
