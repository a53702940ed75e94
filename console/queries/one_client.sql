-- Pages of what is known of one client: its states, its messages, and those of its name.

-- name: clients_named
-- The clients of a name in any letter case, last heard of first.
SELECT client_id, name, version, last_seen
FROM statesys.client_named(%(name)s)
ORDER BY last_seen DESC NULLS LAST, client_id
LIMIT %(limit)s;

-- name: state_page
-- One page of a client's current states, in the order of the primary key.
SELECT topic_type, topic_id, user_sid, state_id, criticality, serial, message_time, digest,
       params, details
FROM statesys.current_state
WHERE client_id = %(client_id)s
  AND (topic_type, topic_id, user_sid) > (%(topic_type)s, %(topic_id)s, %(user_sid)s)
ORDER BY topic_type, topic_id, user_sid
LIMIT %(limit)s;

-- name: client_history
-- A client's messages, newest first: a part below says which and in what order. Of the rows that are
-- read, the first are examined; the others only tell what came before these. A row is a change when
-- no row before it of the same topic and user had the state already. The last row that was examined
-- is always in the result, so that the next page begins behind it.
SELECT serial, digest, topic_type, topic_id, user_sid, state_id, message_time, loaded_at, reused,
       resync_request_id, params, details, changed, number
FROM (SELECT m.*, row_number() OVER (ORDER BY {order}) AS number,
             lead(state_id) OVER (PARTITION BY topic_type, topic_id, user_sid ORDER BY {order})
                 IS DISTINCT FROM state_id AS changed
      FROM (SELECT serial, digest, topic_type, topic_id, user_sid, state_id, message_time,
                   loaded_at, reused, resync_request_id, params, details
            FROM statesys.state_message
            WHERE client_id = %(client_id)s AND {where}
            ORDER BY {order}
            LIMIT %(read)s) AS m) AS r
WHERE number <= %(examined)s AND (changed OR NOT %(changes)s OR number = %(examined)s)
ORDER BY number;

-- name: order_with_serial
-- The order of the index, read from its end; a message and its serial are stored once.
serial DESC, digest DESC;

-- name: where_with_serial
-- No serial is as large as the bigint of the first page, so this leaves out only rows without one.
(serial, digest) < (%(serial)s, %(digest)s);

-- name: order_without_serial
loaded_at DESC, digest DESC;

-- name: where_without_serial
serial IS NULL AND (loaded_at, digest) < (%(loaded_at)s, %(digest)s);

-- name: reused_serials
-- Serials that were used twice, among a client's messages with the highest serials.
SELECT DISTINCT serial
FROM (SELECT serial, reused
      FROM statesys.state_message
      WHERE client_id = %(client_id)s AND serial IS NOT NULL
      ORDER BY serial DESC
      LIMIT %(read)s) AS m
WHERE reused
ORDER BY serial;
