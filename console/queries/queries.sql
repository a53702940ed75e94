-- All queries of the console. Each has a name and a purpose; `queries.py` has a method for each.
-- They only read. Tables are named with their schema, so that the search_path does not matter.

-- name: bytes
-- Size of tables on disk, partitions included. It decides whether their rows are counted.
SELECT coalesce(sum(pg_relation_size(coalesce(part.relid, root))), 0)::bigint
FROM unnest(%(tables)s::regclass[]) AS root
LEFT JOIN pg_partition_tree(root) AS part ON true
WHERE part.isleaf IS NOT FALSE;

-- name: count
-- The exact number of rows of a table.
SELECT count(*) FROM {table};

-- name: estimate
-- The planner's guess of a table's rows: statistics scaled to the table's present size.
EXPLAIN (FORMAT JSON) SELECT FROM {table};

-- name: kept_totals
-- The totals that the loaders count about once an hour, in the order of Totals.
SELECT as_of, clients, duplicates, reused, answered, unanswered, due, silent,
       duplicate_identities, reply_queues
FROM statesys.site_totals;

-- name: counted_totals
-- The same, counted now: without a moment.
SELECT NULL, clients, duplicates, reused, answered, unanswered, due, silent,
       duplicate_identities, reply_queues
FROM statesys.count_totals(%(now)s, %(min_age)s, %(merge_interval)s);

-- name: open_work
-- What is missing and what was requested, counted now on a site of any size: this is quick,
-- because the indexes of open ranges and requests hold hardly any other rows.
SELECT m.ranges, m.serials, r.pending, r.unsent, r.next_unsent_at
FROM (SELECT count(*) AS ranges,
             -- Two clients that sent the largest serial are enough to exceed an int8.
             least(coalesce(sum(last_serial - first_serial + 1), 0), 9223372036854775807)::bigint
                 AS serials
      FROM statesys.missing_message_range
      WHERE closed_at IS NULL) AS m,
     (SELECT count(*) AS pending,
             count(*) FILTER (WHERE sent_at IS NULL) AS unsent,
             min(requested_at) FILTER (WHERE sent_at IS NULL) AS next_unsent_at
      FROM statesys.resync_request
      WHERE closed_at IS NULL AND requested_at IS NOT NULL) AS r;

-- name: oldest_missing
-- When the oldest open missing range was detected; null without one.
SELECT min(detected_at) FROM statesys.missing_message_range WHERE closed_at IS NULL;

-- name: rules_written
-- Where the rules come from.
SELECT origin, written_by, written_at FROM statesys.site;

-- name: loaders
-- The loaders that run. Each renews its row about once a minute. A loader whose row is five minutes
-- old has died. The rules are those that it would make the site's if it were started again: what
-- the site imported stays, unless the loader was given another value.
SELECT l.name,
       l.rules - ARRAY(SELECT unnest(s.imported) EXCEPT SELECT unnest(l.given)) AS rules,
       l.started_at, l.seen_at
FROM statesys.loader l LEFT JOIN statesys.site s ON l.given IS NOT NULL
WHERE l.seen_at > %(now)s - interval '5 minutes'
ORDER BY l.name COLLATE "C", l.started_at;

-- name: freshness
-- The moment of what can be read: everything that was committed before it is there. On a standby it
-- is the database's clock only if something receives, and all that was received and all that the
-- primary said it has (latest_end_lsn) is replayed. Otherwise it is the last commit that was
-- replayed; before the first one after a start, the last checkpoint.
--
-- What was received may be less than what is replayed: it counts from the start of a log file.
-- Only pg_read_all_stats shows latest_end_lsn. Without it, a standby that catches up looks current
-- each time it has replayed a piece, before the next one comes.
SELECT
    CASE
        WHEN NOT pg_is_in_recovery() THEN now()
        WHEN EXISTS (
            SELECT FROM pg_stat_wal_receiver
            WHERE greatest(latest_end_lsn, pg_last_wal_receive_lsn()) <= pg_last_wal_replay_lsn()
        ) THEN now()
        ELSE coalesce(
            pg_last_xact_replay_timestamp(), (SELECT checkpoint_time FROM pg_control_checkpoint())
        )
    END AS as_of,
    pg_is_in_recovery() AS standby,
    now() AS now

-- name: condition
-- The condition of one client.
SELECT condition
FROM statesys.client_condition(%(now)s, %(min_age)s, %(heartbeat_interval)s)
WHERE client_id = %(client_id)s;

-- name: due
-- Whether and when one client is asked for its state; no row when there is no cause.
SELECT reason, since, at, held_by
FROM statesys.resync_due(%(now)s, %(min_age)s, %(merge_interval)s)
WHERE client_id = %(client_id)s;

-- name: newest_partition
-- The newest partition with rows, and its number of pages. Partitions of coming days are empty.
SELECT n.nspname, c.relname, pg_relation_size(c.oid) / current_setting('block_size')::bigint
FROM pg_partition_tree('statesys.state_message') AS t
JOIN pg_class AS c ON c.oid = t.relid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.isleaf AND pg_relation_size(c.oid) > 0
-- A bound is written as FOR VALUES FROM ('2026-01-31 00:00:00+00') TO …, so it sorts as text.
ORDER BY pg_get_expr(c.relpartbound, c.oid) COLLATE "C" DESC
LIMIT 1;

-- name: queue_time
-- How long the latest messages took from relay to database. Rows are only ever appended, so the
-- last pages of the newest partition are the latest messages: no index on loaded_at is needed.
SELECT count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY took),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY took),
       max(loaded_at)
FROM (SELECT extract(epoch FROM loaded_at - received_at)::float8 AS took, loaded_at
      FROM {partition}
      WHERE ctid >= %(from_page)s::tid
      ORDER BY loaded_at DESC
      LIMIT %(limit)s) AS latest;

-- name: client
-- One client.
SELECT client_id, name, version, highest_serial, accounted, resynced_below, reuse_seen_at,
       duplicate_identity_at, reply_queue, first_seen, last_seen, last_message_time,
       duplicates, superseded, reused
FROM statesys.client
WHERE client_id = %(client_id)s;

-- name: states
-- The current states of a client.
SELECT topic_type, topic_id, user_sid, state_id, criticality, serial, message_time, digest,
       params, details
FROM statesys.current_state
WHERE client_id = %(client_id)s
ORDER BY topic_type, topic_id, user_sid;

-- name: requests
-- The resync requests of a client, newest first.
SELECT request_id, reason, ranges, highest_serial, requested_at, sent_at, closed_at, closed_how,
       first_serial, last_serial, attempts
FROM statesys.resync_request
WHERE client_id = %(client_id)s
ORDER BY coalesce(requested_at, closed_at) DESC NULLS FIRST, request_id
LIMIT %(limit)s;

-- name: message
-- The rows of the history with one serial of a client; several where the serial was reused.
SELECT serial, serial_text, digest, topic_type, topic_id, user_sid, state_id, criticality,
       message_time, report_date, forwarded_at, received_at, smx_id, batch_id, reused,
       resync_request_id, loaded_at
FROM statesys.state_message
WHERE client_id = %(client_id)s AND serial = %(serial)s
ORDER BY loaded_at;

-- name: last_messages
-- The messages of a client with the highest serials.
SELECT serial, serial_text, digest, topic_type, topic_id, user_sid, state_id, criticality,
       message_time, report_date, forwarded_at, received_at, smx_id, batch_id, reused,
       resync_request_id, loaded_at
FROM statesys.state_message
WHERE client_id = %(client_id)s AND serial IS NOT NULL
ORDER BY serial DESC
LIMIT %(limit)s;

-- name: accounts
-- Every client with its accounted and missing serials, in the order in which verify merges them
-- with the stores.
SELECT c.client_id, c.resynced_below, c.accounted,
       coalesce(m.missing, '{}'::int8multirange), c.duplicate_identity_at IS NOT NULL
FROM statesys.client AS c
LEFT JOIN (SELECT client_id, range_agg(int8range(first_serial, last_serial, '[]')) AS missing
           FROM statesys.missing_message_range
           WHERE closed_at IS NULL
           GROUP BY client_id) AS m USING (client_id)
ORDER BY c.client_id;

-- name: histories
-- Every numbered message, in the order in which verify merges them.
SELECT client_id, serial, digest, reused
FROM statesys.state_message
WHERE serial IS NOT NULL
ORDER BY client_id, serial;

-- name: currents
-- Every current state, in the order in which verify merges them.
SELECT client_id, topic_type, topic_id, user_sid, serial, digest
FROM statesys.current_state
ORDER BY client_id;

-- name: inconsistent
-- Clients whose open ranges are not [1, highest] - accounted. The serials of a merged range are
-- accounted for already, so the query leaves it out.
SELECT c.client_id
FROM statesys.client AS c
LEFT JOIN (SELECT client_id, range_agg(int8range(first_serial, last_serial, '[]')) AS missing
           FROM statesys.missing_message_range
           WHERE closed_at IS NULL AND NOT merged
           GROUP BY client_id) AS m USING (client_id)
WHERE coalesce(m.missing, '{}'::int8multirange)
      <> int8multirange(int8range(1, c.highest_serial + 1)) - c.accounted
ORDER BY c.client_id;

-- name: closing_counts
-- The counts at the end of a demo. They cover all clients in the database, which are the demo's.
SELECT (SELECT count(*) FROM statesys.state_message),
       (SELECT coalesce(sum(duplicates), 0)::bigint FROM statesys.client),
       (SELECT count(*) FROM statesys.missing_message_range),
       (SELECT count(closed_at) FROM statesys.missing_message_range),
       (SELECT count(*) FROM statesys.resync_request WHERE requested_at IS NOT NULL),
       (SELECT count(*) FROM statesys.resync_request
        WHERE requested_at IS NOT NULL AND closed_how IN ('answered', 'overtaken'));

-- name: arrival
-- How far the server has processed what was sent: the sum of all highest serials, and the numbers
-- of open ranges and open requests.
SELECT (SELECT least(coalesce(sum(highest_serial), 0), 9223372036854775807)::bigint
        FROM statesys.client),
       (SELECT count(*) FROM statesys.missing_message_range WHERE closed_at IS NULL),
       (SELECT count(*) FROM statesys.resync_request
        WHERE closed_at IS NULL AND requested_at IS NOT NULL);
