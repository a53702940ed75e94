-- What a chunk changes about missing messages: claims of resync answers, the limit of ranges, and
-- the open ranges. This continues load.sql, which creates the temporary tables. Each statement is
-- limited to the clients in `attention`.

-- Stores which serials an answer claims as the client's whole state.
--
-- A claim is stored in the row of its request, if that has no claim yet. Otherwise it gets a row of
-- its own, with requested_at null: the request is unknown, or is another client's, or has a
-- different claim already (a rolled-back store answers again). In the last case the row has a
-- random id, because an id derived from the claim could be guessed and sent as the id of another
-- claim. Later parts of the answer find the row by the serials.
PREPARE note_claims AS
WITH claim AS (
    SELECT s.client_id, s.claim_id, s.claim_first, s.claim_last,
        r.request_id IS NULL OR r.first_serial IS NULL AS fits
    FROM (SELECT DISTINCT client_id, claim_id, claim_first, claim_last
          FROM attention JOIN stage USING (client_id) WHERE claim_id IS NOT NULL) s
    LEFT JOIN LATERAL (
        SELECT * FROM resync_request k
        WHERE (k.client_id, k.request_id) = (s.client_id, s.claim_id) OFFSET 0) r ON true
),
unknown AS (
    SELECT *, row_number() OVER (
        PARTITION BY client_id, claim_id ORDER BY claim_first, claim_last) AS n
    FROM claim
    WHERE fits OR (
        SELECT true FROM resync_request k
        WHERE k.client_id = claim.client_id
          AND (k.first_serial, k.last_serial) = (claim_first, claim_last)
          AND (k.request_id = claim_id OR k.requested_at IS NULL)
        LIMIT 1) IS NULL
)
INSERT INTO resync_request AS known (client_id, request_id, first_serial, last_serial)
SELECT client_id, CASE WHEN fits AND n = 1 THEN claim_id ELSE gen_random_uuid() END,
    claim_first, claim_last
FROM unknown
ORDER BY 1, 2
ON CONFLICT (client_id, request_id) DO UPDATE
    SET first_serial = excluded.first_serial, last_serial = excluded.last_serial;


-- Applies each claim whose serials are all accounted for: everything below them is overtaken.
--
-- The parts of an answer may arrive in any order and in any number of chunks, so every chunk checks
-- the claims of its clients. Later requests stay open, because their cause may be newer than this
-- answer. A claim in a row without requested_at closes no other request.
-- After a merge, `accounted` also has serials that did not arrive; then the history is counted.
PREPARE complete_claims AS
WITH complete AS (
    SELECT r.client_id, r.request_id, r.first_serial, r.requested_at, c.client_row
    FROM attention t
    CROSS JOIN LATERAL (
        SELECT * FROM resync_request k WHERE k.client_id = t.client_id OFFSET 0) r
    CROSS JOIN LATERAL (
        SELECT k.ctid AS client_row, k.accounted, k.resynced_below FROM client k
        WHERE k.client_id = t.client_id OFFSET 0) c
    WHERE r.first_serial IS NOT NULL
      AND (r.closed_at IS NULL OR r.closed_how NOT IN ('answered', 'overtaken')
           OR r.first_serial > c.resynced_below)
      AND c.accounted @> int8range(r.first_serial, r.last_serial + 1)
      AND (NOT EXISTS (
               SELECT FROM missing_message_range m
               WHERE m.client_id = r.client_id AND m.closed_at IS NULL AND m.merged
                 AND m.first_serial <= r.last_serial AND m.last_serial >= r.first_serial)
           OR r.last_serial - r.first_serial + 1 = (
               SELECT count(DISTINCT h.serial) FROM state_message h
               WHERE h.client_id = r.client_id
                 AND h.serial BETWEEN r.first_serial AND r.last_serial))
),
effect AS MATERIALIZED (
    SELECT client_id, client_row, max(first_serial) AS first_serial,
           max(requested_at) AS requested_at
    FROM complete GROUP BY client_id, client_row
),
overtaken AS (
    DELETE FROM current_state s
    USING effect e CROSS JOIN LATERAL (
        SELECT k.ctid AS state_row FROM current_state k
        WHERE k.client_id = e.client_id AND k.serial < e.first_serial OFFSET 0) o
    WHERE s.ctid = o.state_row
    RETURNING s.client_id, s.topic_type, s.topic_id, s.user_sid
),
-- A numbered state replaces an unnumbered one of the same topic, but a resync overtakes numbered
-- ones only. So the unnumbered one becomes current again, and the order of arrival makes no
-- difference. A message dated later than it was loaded counts from when it was received, as in
-- store_messages.
uncovered AS (
    INSERT INTO current_state (
        client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
        message_time, digest, params, details)
    SELECT DISTINCT ON (client_id, topic_type, topic_id, user_sid)
        client_id, topic_type, topic_id, user_sid, h.id_type, h.state_id, h.criticality, NULL,
        t.counts_as, h.digest, h.params, h.details
    FROM overtaken JOIN state_message h USING (client_id, topic_type, topic_id, user_sid)
    CROSS JOIN LATERAL (SELECT CASE
        WHEN h.message_time > h.loaded_at THEN least(h.received_at, h.loaded_at)
        ELSE h.message_time END) t(counts_as)
    WHERE h.serial IS NULL
    ORDER BY client_id, topic_type, topic_id, user_sid, t.counts_as DESC, h.digest DESC
),
moved AS (
    UPDATE client c SET
        resynced_below = greatest(c.resynced_below, e.first_serial),
        accounted = c.accounted + int8multirange(int8range(1, e.first_serial))
    FROM effect e WHERE c.ctid = e.client_row
)
UPDATE resync_request r SET
    closed_at = statement_timestamp(),
    closed_how = CASE WHEN EXISTS (
        SELECT FROM complete d WHERE (d.client_id, d.request_id) = (r.client_id, r.request_id)
    ) THEN 'answered' ELSE 'overtaken' END
FROM effect e
WHERE r.client_id = e.client_id
  AND (EXISTS (SELECT FROM complete d
               WHERE (d.client_id, d.request_id) = (r.client_id, r.request_id))
       OR (r.closed_at IS NULL AND r.requested_at <= e.requested_at));


-- Replaces the missing ranges of a client that has more than $1 by one merged range. Every serial
-- up to the client's highest then counts as accounted for; only a completed resync closes that
-- range. The insert reads what the delete returns, so the old rows are deleted before the new one
-- is added.
PREPARE merge_ranges(integer) AS
WITH crowded AS MATERIALIZED (
    SELECT c.client_id, c.client_row, lower(missing) AS first_serial,
           upper(missing) - 1 AS last_serial
    FROM attention t
    CROSS JOIN LATERAL (
        SELECT k.ctid AS client_row, k.* FROM client k
        WHERE k.client_id = t.client_id OFFSET 0) c
    CROSS JOIN LATERAL (
        SELECT int8multirange(int8range(1, c.highest_serial + 1)) - c.accounted) m(missing)
    WHERE c.accounted <> int8multirange(int8range(1, c.highest_serial + 1))
      AND (SELECT count(*) FROM unnest(missing)) > $1
),
counted AS (
    UPDATE client c SET accounted = int8multirange(int8range(1, c.highest_serial + 1))
    FROM crowded WHERE c.ctid = crowded.client_row
),
removed AS (
    DELETE FROM missing_message_range m
    USING crowded CROSS JOIN LATERAL (
        SELECT k.ctid AS range_row FROM missing_message_range k
        WHERE k.client_id = crowded.client_id AND k.closed_at IS NULL OFFSET 0) o
    WHERE m.ctid = o.range_row
    RETURNING m.client_id, m.first_serial, m.last_serial, m.detected_at
),
was AS (
    SELECT client_id, min(first_serial) AS first_serial, max(last_serial) AS last_serial,
           min(detected_at) AS detected_at
    FROM removed GROUP BY client_id
)
INSERT INTO missing_message_range (client_id, first_serial, last_serial, merged, detected_at)
SELECT client_id, least(c.first_serial, w.first_serial), greatest(c.last_serial, w.last_serial),
       true, coalesce(w.detected_at, statement_timestamp())
FROM crowded c LEFT JOIN was w USING (client_id);


-- Updates the open rows to the serials that are missing: [1, highest_serial] minus accounted.
--
-- A row whose range is still missing is not changed. If part of it is no longer missing, the row
-- becomes the first remaining piece, and further pieces become rows with the same detected_at. If
-- nothing remains, the row is closed. A row younger than $1 (min_missing_message_age) is deleted
-- instead: most missing messages are only late, and their rows would hide real losses. A merged row
-- is changed by resyncs only.
PREPARE keep_ledger(interval) AS
WITH touched AS MATERIALIZED (
    SELECT c.client_id, c.resynced_below,
           int8multirange(int8range(1, c.highest_serial + 1)) - c.accounted AS missing
    FROM attention t
    CROSS JOIN LATERAL (SELECT * FROM client k WHERE k.client_id = t.client_id OFFSET 0) c
),
missing AS MATERIALIZED (
    SELECT client_id, lower(piece) AS first_serial, upper(piece) - 1 AS last_serial
    FROM touched, unnest(missing) AS piece
),
open_row AS MATERIALIZED (
    SELECT m.client_id, m.id, m.range_row, m.first_serial, m.last_serial, m.detected_at, m.merged,
           t.resynced_below
    FROM touched t CROSS JOIN LATERAL (
        SELECT k.ctid AS range_row, k.* FROM missing_message_range k
        WHERE k.client_id = t.client_id AND k.closed_at IS NULL OFFSET 0) m
),
hit AS (
    SELECT * FROM open_row o
    WHERE NOT merged AND NOT EXISTS (
        SELECT FROM missing p
        WHERE (p.client_id, p.first_serial, p.last_serial)
            = (o.client_id, o.first_serial, o.last_serial))
),
piece AS MATERIALIZED (
    SELECT p.client_id, p.first_serial, p.last_serial, h.id AS origin, h.range_row,
           h.detected_at,
           row_number() OVER (PARTITION BY h.client_id, h.id ORDER BY p.first_serial) AS n
    FROM missing p LEFT JOIN hit h
        ON h.client_id = p.client_id
       AND h.first_serial <= p.first_serial AND h.last_serial >= p.last_serial
    WHERE NOT EXISTS (
        SELECT FROM open_row o
        WHERE NOT o.merged AND (p.client_id, p.first_serial, p.last_serial)
            = (o.client_id, o.first_serial, o.last_serial))
),
shrunk AS (
    UPDATE missing_message_range m SET first_serial = p.first_serial, last_serial = p.last_serial
    FROM piece p
    WHERE m.ctid = p.range_row AND p.n = 1
),
gone AS (
    SELECT * FROM hit h
    WHERE NOT EXISTS (SELECT FROM piece p WHERE (p.client_id, p.origin) = (h.client_id, h.id))
),
closed AS (
    UPDATE missing_message_range m SET
        closed_at = statement_timestamp(),
        closed_how = CASE WHEN g.last_serial < g.resynced_below THEN 'resynced'
                          ELSE 'arrived' END
    FROM gone g
    WHERE m.ctid = g.range_row
      AND g.detected_at + $1 <= statement_timestamp()
),
forgotten AS (
    DELETE FROM missing_message_range m USING gone g
    WHERE m.ctid = g.range_row
      AND g.detected_at + $1 > statement_timestamp()
),
merged_closed AS (
    UPDATE missing_message_range m SET
        closed_at = statement_timestamp(), closed_how = 'resynced'
    FROM open_row o
    WHERE o.merged AND o.last_serial < o.resynced_below
      AND m.ctid = o.range_row
),
merged_cut AS (
    UPDATE missing_message_range m SET first_serial = o.resynced_below
    FROM open_row o
    WHERE o.merged AND o.first_serial < o.resynced_below AND o.resynced_below <= o.last_serial
      AND m.ctid = o.range_row
)
INSERT INTO missing_message_range (client_id, first_serial, last_serial, detected_at)
SELECT client_id, first_serial, last_serial, coalesce(detected_at, statement_timestamp())
FROM piece
WHERE origin IS NULL OR n > 1;
