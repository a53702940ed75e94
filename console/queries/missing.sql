-- Missing ranges.

-- name: missing
-- Missing ranges of one client or of all; with each open one, whether and when its client is asked.
-- The parts below fill the gaps in braces. (LIMIT 1 makes PostgreSQL compute this for the clients in
-- the list only.)
SELECT m.client_id, c.name, m.first_serial, m.last_serial, m.merged, m.detected_at, m.closed_at,
       m.closed_how, r.requested_at, r.sent_at, r.closed_how, d.reason, d.since, d.at, d.held_by,
       m.id
FROM (SELECT *
      FROM statesys.missing_message_range AS m
      WHERE {where}
      ORDER BY {order}
      LIMIT %(limit)s) AS m
JOIN statesys.client AS c USING (client_id)
LEFT JOIN LATERAL (SELECT requested_at, sent_at, closed_how
                   FROM statesys.resync_request
                   WHERE client_id = m.client_id AND requested_at IS NOT NULL
                   ORDER BY requested_at DESC
                   LIMIT 1) AS r ON true
LEFT JOIN LATERAL (SELECT reason, since, at, held_by
                   FROM statesys.resync_due(%(now)s, %(min_age)s, %(merge_interval)s)
                   WHERE client_id = m.client_id
                   LIMIT 1) AS d ON m.closed_at IS NULL
ORDER BY {order};

-- name: where_chosen_ranges
(%(client_id)s::uuid IS NULL OR m.client_id = %(client_id)s::uuid)
    AND (%(serial)s::bigint IS NULL OR %(serial)s::bigint BETWEEN m.first_serial AND m.last_serial)
    AND (%(closed)s OR m.closed_at IS NULL);

-- name: order_ranges
-- Open ones first, oldest first.
m.closed_at IS NOT NULL, m.detected_at, m.client_id, m.first_serial;

-- name: where_open_ranges
-- The index of open ranges holds hardly any other rows, so these are sorted.
m.closed_at IS NULL;

-- name: order_open_ranges
m.detected_at, m.client_id, m.id;

-- name: after_open_ranges
(m.detected_at, m.client_id, m.id) > (%(detected_at)s, %(client_id)s, %(range_id)s);

-- name: where_closed_ranges
m.closed_at IS NOT NULL;

-- name: order_closed_ranges
-- By client, as the key is: closed ranges are many, and are not sorted.
m.client_id, m.id;

-- name: after_closed_ranges
(m.client_id, m.id) > (%(client_id)s, %(range_id)s);
