-- What a rule is compiled of: conditions over a client, c, each either true or false. Everything in
-- braces is a parameter, or a part that is made of these fragments. now is a parameter too.

-- name: has_state
EXISTS (SELECT FROM statesys.current_state AS s
        WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer
          AND s.state_id = ANY({state_ids}::bigint[]))

-- name: has_state_of_topic
EXISTS (SELECT FROM statesys.current_state AS s
        WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer
          AND s.topic_id = {topic_id}::text
          AND s.state_id = ANY({state_ids}::bigint[]))

-- name: every_state
(EXISTS (SELECT FROM statesys.current_state AS s
         WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer)
 AND NOT EXISTS (SELECT FROM statesys.current_state AS s
                 WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer
                   AND s.state_id <> ALL({state_ids}::bigint[])))

-- name: every_state_of_topic
(EXISTS (SELECT FROM statesys.current_state AS s
         WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer
           AND s.topic_id = {topic_id}::text)
 AND NOT EXISTS (SELECT FROM statesys.current_state AS s
                 WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer
                   AND s.topic_id = {topic_id}::text
                   AND s.state_id <> ALL({state_ids}::bigint[])))

-- name: no_state
NOT EXISTS (SELECT FROM statesys.current_state AS s
            WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer)

-- name: no_state_of_topic
NOT EXISTS (SELECT FROM statesys.current_state AS s
            WHERE s.client_id = c.client_id AND s.topic_type = {topic_type}::integer
              AND s.topic_id = {topic_id}::text)

-- name: name_is
-- Both sides go through the database's lower(), whatever its locale.
lower(c.name) IN (SELECT lower(n) FROM unnest({names}::text[]) AS n)

-- name: name_like
lower(c.name) LIKE lower({pattern}::text)

-- name: version_is
-- No comparison holds for a version that is not made of numbers.
coalesce(v.parts {comparison} {parts}::integer[], false)

-- name: seen
coalesce(c.last_seen, c.first_seen) {comparison} {now}::timestamptz - {ago}::interval

-- name: condition_is
k.condition = ANY({conditions}::text[])

-- name: not
NOT ({part})

-- name: condition_of_clients
-- Joined once, if a rule asks for conditions; every client has one.
JOIN statesys.client_condition({now}::timestamptz, {min_age}::interval, {heartbeat_interval}::interval)
    AS k ON k.client_id = c.client_id

-- name: versions_of_clients
-- Joined once, if a rule asks for versions. Taking a version apart is slow, and there are few: each
-- is taken apart once, and not for each client. (OFFSET 0 keeps it so.)
LEFT JOIN (SELECT d.version, statesys.version_parts(d.version) AS parts
           FROM (SELECT DISTINCT version FROM statesys.client) AS d
           OFFSET 0) AS v ON v.version = c.version

-- name: members
-- Source of the members of a collection, to be selected from.
statesys.client AS c {conditions} {versions} WHERE {rule}
