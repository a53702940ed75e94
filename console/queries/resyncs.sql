-- The resync requests of the site. Claims that answer no request are left out.

-- name: site_requests
-- One page; the parts below fill the gaps in braces.
SELECT r.client_id, c.name, r.request_id, r.reason, r.requested_at, r.sent_at, r.closed_at,
       r.closed_how, r.attempts
FROM (SELECT *
      FROM statesys.resync_request AS r
      WHERE r.requested_at IS NOT NULL AND {where}
      ORDER BY {order}
      LIMIT %(limit)s) AS r
LEFT JOIN statesys.client AS c USING (client_id)
ORDER BY {order};

-- name: where_pending_requests
r.closed_at IS NULL;

-- name: where_unsent_requests
r.closed_at IS NULL AND r.sent_at IS NULL;

-- name: where_sent_requests
r.closed_at IS NULL AND r.sent_at IS NOT NULL;

-- name: where_closed_requests
-- The word for how is a parameter, so the index of those that were left unanswered serves them.
r.closed_how = %(how)s;

-- name: order_open_requests
-- Oldest first: the index of open requests has this order.
r.requested_at, r.client_id, r.request_id;

-- name: after_open_requests
(r.requested_at, r.client_id, r.request_id) > (%(requested_at)s, %(client_id)s, %(request_id)s);

-- name: order_closed_requests
-- By client, as the key is.
r.client_id, r.request_id;

-- name: after_closed_requests
(r.client_id, r.request_id) > (%(client_id)s, %(request_id)s);
