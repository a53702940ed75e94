-- What `statesys why` asks about one client, beside the queries of `trace`.

-- name: silent_since
-- Since when the client is silent; no row when it is not.
SELECT since FROM statesys.silent(%(now)s, %(min_age)s) WHERE client_id = %(client_id)s;

-- name: duplicate_identity_since
-- Since when two machines seem to share the client's id; no row when they do not.
SELECT since FROM statesys.duplicate_identity(%(now)s) WHERE client_id = %(client_id)s;

-- name: quiet_since
-- Since when the client is quiet; no row when it is not. The clause is that of client_condition,
-- which names a worse condition where there is one.
SELECT coalesce(last_seen, first_seen) + 3 * %(heartbeat_interval)s
FROM statesys.client
WHERE client_id = %(client_id)s
  AND coalesce(last_seen, first_seen) + 3 * %(heartbeat_interval)s <= %(now)s;

-- name: reuse_unanswered_since
-- When the sign of reuse was seen that no resync has answered yet; no row without one. The clause
-- is that of resync_due, which names one cause for each client, and perhaps another one.
SELECT reuse_seen_at
FROM statesys.client AS c
WHERE client_id = %(client_id)s AND reuse_seen_at IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM statesys.resync_request AS d
      WHERE d.client_id = c.client_id AND d.closed_how IN ('answered', 'overtaken')
        AND d.requested_at >= c.reuse_seen_at);

-- name: open_ranges
-- The open missing ranges of a client, oldest first. It may have a thousand of them; `missing` would
-- compute for each when the client is asked.
SELECT first_serial, last_serial, merged, detected_at
FROM statesys.missing_message_range
WHERE client_id = %(client_id)s AND closed_at IS NULL
ORDER BY detected_at, first_serial;

-- name: changes
-- The number of a client's current states, and the message time of the newest.
SELECT count(*), max(message_time) FROM statesys.current_state WHERE client_id = %(client_id)s;

-- name: topic_states
-- The current states of a client on one topic, or on all topics of a type.
SELECT topic_type, topic_id, user_sid, state_id, criticality, serial, message_time, digest,
       params, details
FROM statesys.current_state
WHERE client_id = %(client_id)s AND topic_type = %(topic_type)s
  AND (%(topic_id)s::text IS NULL OR topic_id = %(topic_id)s::text)
ORDER BY topic_id, user_sid;

-- name: topic_messages
-- The messages of a client on one topic, or on all topics of a type, highest serials first.
SELECT serial, serial_text, digest, topic_type, topic_id, user_sid, state_id, criticality,
       message_time, report_date, forwarded_at, received_at, smx_id, batch_id, reused,
       resync_request_id, loaded_at
FROM statesys.state_message
WHERE client_id = %(client_id)s AND topic_type = %(topic_type)s
  AND (%(topic_id)s::text IS NULL OR topic_id = %(topic_id)s::text)
ORDER BY serial DESC NULLS LAST, loaded_at DESC
LIMIT %(limit)s;

-- name: front
-- Up to when the site has loaded what was sent to it: what was loaded last, less the time that the
-- latest messages took from their client (or from the relay, for senders that do not tell).
-- The median, because the clocks of some clients are wrong. Null when nothing was loaded.
SELECT max(loaded_at) - percentile_cont(0.5) WITHIN GROUP (ORDER BY took)
FROM (SELECT loaded_at - least(coalesce(forwarded_at, received_at), received_at, loaded_at) AS took,
             loaded_at
      FROM {partition}
      WHERE ctid >= %(from_page)s::tid
      ORDER BY loaded_at DESC
      LIMIT %(limit)s) AS latest;
