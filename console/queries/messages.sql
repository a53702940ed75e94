-- The history as a person looks through it: newest first. `messages.py` has a method for each query.
-- They only read. A message is named by its client, its number, if it has one, and its digest.

-- name: rows_of_slice
-- How many messages were loaded within a time, before a position; at most so many are counted. The
-- index on loaded_at (BRIN) leaves the pages of that time.
SELECT count(*)
FROM (SELECT FROM statesys.state_message
      WHERE loaded_at >= %(since)s AND loaded_at <= %(loaded_at)s
        AND (loaded_at, client_id, digest) < (%(loaded_at)s, %(client_id)s, %(digest)s)
      LIMIT %(most)s) AS part;

-- name: messages_of_slice
-- Messages that were loaded within a time, before a position, newest first.
SELECT m.client_id, c.name, m.serial, m.digest, m.topic_type, m.topic_id, m.user_name, m.user_sid,
       m.state_id, m.criticality, m.message_time, m.received_at, m.loaded_at, m.reused
FROM (SELECT *
      FROM statesys.state_message AS m
      WHERE m.loaded_at >= %(since)s AND m.loaded_at <= %(loaded_at)s
        AND (m.loaded_at, m.client_id, m.digest) < (%(loaded_at)s, %(client_id)s, %(digest)s)
        AND {where}
      ORDER BY m.loaded_at DESC, m.client_id DESC, m.digest DESC
      LIMIT %(limit)s) AS m
LEFT JOIN statesys.client AS c USING (client_id)
ORDER BY m.loaded_at DESC, m.client_id DESC, m.digest DESC;

-- name: messages_of_client
-- The messages of a client behind a position, highest numbers first; the index on client, serial and
-- digest has this order. At most so many are looked at: the last of them comes too, fitting or not
-- (`fits`), because the next search begins behind it.
SELECT m.client_id, c.name, m.serial, m.digest, m.topic_type, m.topic_id, m.user_name, m.user_sid,
       m.state_id, m.criticality, m.message_time, m.received_at, m.loaded_at, m.reused,
       m.fits, m.number
FROM (SELECT m.*, ({where}) AS fits, row_number() OVER (ORDER BY m.serial DESC, m.digest DESC)
             AS number
      FROM (SELECT * FROM statesys.state_message AS m
            WHERE m.client_id = %(client_id)s AND {behind}
            ORDER BY m.serial DESC, m.digest DESC
            LIMIT %(most)s) AS m) AS m
LEFT JOIN statesys.client AS c USING (client_id)
WHERE m.fits OR m.number = %(most)s
ORDER BY m.number
LIMIT %(limit)s;

-- name: behind_number
-- Numbered messages, from a place on.
(m.serial, m.digest) < (%(serial)s, %(digest)s);

-- name: behind_unnumbered
-- Messages without a number, from a place on.
m.serial IS NULL AND m.digest < %(digest)s;

-- name: where_topic_type
m.topic_type = %(topic_type)s;

-- name: where_only_client
m.client_id = %(only_client)s;

-- name: where_topic_id
m.topic_id = %(topic_id)s;

-- name: where_state_ids
m.state_id = ANY(%(state_ids)s::bigint[]);

-- name: where_since
m.loaded_at >= %(since)s;

-- name: where_until
m.loaded_at < %(until)s;

-- name: stored_message
-- Everything that is kept of a message.
SELECT m.client_id, c.name, m.serial, m.serial_text, m.digest, m.topic_type, m.topic_id, m.id_type,
       m.user_name, m.user_sid, m.state_id, m.criticality, m.message_time, m.params, m.details,
       m.details_type, m.report_date, m.forwarded_at, m.received_at, m.smx_id, m.batch_id,
       m.reused, m.resync_request_id, m.loaded_at
FROM statesys.state_message AS m LEFT JOIN statesys.client AS c USING (client_id)
WHERE m.client_id = %(client_id)s AND m.digest = %(digest)s AND {number}
LIMIT 1;

-- name: numbered
-- The message of a number.
m.serial = %(serial)s;

-- name: unnumbered
-- One of the messages without a number.
m.serial IS NULL;
