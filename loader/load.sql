-- Loading a chunk. A loader thread runs this file and then ledger.sql once on its connection. This
-- file prepares the statements that judge and store messages.
--
-- Each chunk is one transaction. First COPY fills the table `stage`, which takes no lock on shared
-- tables. Then one protocol message does the rest:
--
--     EXECUTE lock_clients; EXECUTE store_messages(…); EXECUTE note_claims;
--     EXECUTE complete_claims; EXECUTE merge_ranges(…); EXECUTE keep_ledger(…); COMMIT
--
-- So the server takes and releases the locks without the loader. If the loader is stopped or cut
-- off before it has sent this message, it holds no lock; if after, the server ends the transaction
-- alone.
--
-- The lock on a client's row makes loading exact: two chunks with messages of one client are judged
-- one after the other, however many loaders run. Locks are taken in key order, so chunks cannot
-- deadlock with each other. Locking is a separate statement, because each statement sees what was
-- committed when it started: one that both locks and reads would see the new client row with the
-- old history.

CREATE TEMPORARY TABLE stage (
    -- In the order of the digest's text. An unnumbered message has the number it came with, if any,
    -- in serial_text.
    serial         bigint,
    topic_type     integer NOT NULL,
    topic_id       text COLLATE "C" NOT NULL,
    id_type        integer,
    user_name      text NOT NULL,
    user_sid       text COLLATE "C" NOT NULL,
    state_id       bigint NOT NULL,
    criticality    integer NOT NULL,
    message_time   timestamptz NOT NULL,
    param_count    integer NOT NULL,
    param_texts    text NOT NULL,
    details        text,
    details_type   text,
    serial_text    text,
    digest         bytea NOT NULL,
    client_id      uuid NOT NULL,
    report_date    timestamptz NOT NULL,
    forwarded_at   timestamptz,
    received_at    timestamptz NOT NULL,
    smx_id         uuid NOT NULL,
    batch_id       uuid NOT NULL,
    claim_id       uuid,
    claim_first    bigint,
    claim_last     bigint,
    -- Set in one row for each life of a client in the chunk, from the report with the highest
    -- serial.
    client_name    text,
    client_version text,
    reply_queue    text,
    -- How often the message is in the chunk; it is one row here.
    copies         integer NOT NULL,
    -- Whether a different message with the same serial comes before it in the chunk.
    rival          boolean NOT NULL
) ON COMMIT DELETE ROWS;

-- Clients of the chunk that the statements of ledger.sql have to look at, because of missing
-- messages or claims. Most chunks have none, and then these statements have nothing to do.
CREATE TEMPORARY TABLE attention (client_id uuid NOT NULL) ON COMMIT DELETE ROWS;


-- Creates new clients and locks all clients of the chunk, in key order. ON CONFLICT locks a row
-- even if its WHERE then prevents the update, so no new row version is written.
PREPARE lock_clients AS
INSERT INTO client (client_id)
SELECT DISTINCT client_id FROM stage WHERE client_name IS NOT NULL ORDER BY client_id
ON CONFLICT (client_id) DO UPDATE SET client_id = excluded.client_id WHERE false;


-- Judges every message, stores it, and updates the current state and the client's counters.
--
-- A message whose serial is not accounted for is new. For other serials the history decides: with
-- the same digest it is a duplicate, with another digest the serial is reused. Without a row it is
-- late: a resync or a merge had written its serial off. The lock on the client keeps `accounted`
-- and the history consistent with each other.
--
-- The statement is planned once, perhaps while all tables are empty. Hence the way it is written:
--
--   * Rows of the tables are looked up by LATERAL with OFFSET 0, an optimization fence. That is one
--     index lookup for each client or topic of the chunk, whatever sizes the planner assumes.
--   * Looked-up rows are updated by ctid, which cannot change meanwhile: the client is locked, and
--     the lookup is in the same statement. (This excludes requests, since the resync task changes
--     them without that lock.)
--   * Rows of the chunk are joined by hash, and counted once for each client.
--   * EXISTS is written as LIMIT 1, because it could be planned as a hash of a whole table.
--
-- $1: the tolerance between dates of reports. A report is a sign of reuse if it has lower serials
-- but was rendered later, by more than this, than the report with the highest serial, or than the
-- resync answer that wrote its serials off.
PREPARE store_messages(interval) AS
-- determining: the report of each client that determines its name, version and reply queue. It
-- should be the report received last, but the clock of a relay may be wrong. Serials do not order
-- reports of different lives, since a machine that is installed anew counts from 1. It has another
-- reply queue, by which lives are told apart here. See docs/decisions/0013.
--
-- heard_at: when the report was received, but no earlier than it was rendered, and no later than
-- now. A report dated in the future sets no lower bound. If the relay's clock is ahead, the report
-- is not `timely`, and its own date orders it among the lives of a chunk.
WITH determining AS (
    SELECT DISTINCT ON (client_id) *
    FROM (
        SELECT client_id, client_name, client_version, reply_queue, serial,
            received_at <= statement_timestamp() AS timely,
            least(report_date, statement_timestamp()) AS rendered_at,
            CASE
                WHEN received_at > statement_timestamp() THEN statement_timestamp()
                WHEN report_date > statement_timestamp() THEN received_at
                ELSE greatest(received_at, report_date)
            END AS heard_at,
            ctid AS place
        FROM stage WHERE client_name IS NOT NULL) s
    ORDER BY client_id, CASE WHEN timely THEN heard_at ELSE rendered_at END DESC, place DESC
),
known AS MATERIALIZED (
    SELECT s.*, c.*,
        CASE
            -- Comes first, so that a wrong value lasts only until the next report.
            WHEN last_seen IS NULL OR (timely AND heard_at > last_seen) THEN true
            -- Within one life the serial decides, unless there is a sign of reuse.
            WHEN serial IS NOT NULL AND reply_queue IS NOT DISTINCT FROM known_queue
                THEN serial > highest_serial OR rendered_at > highest_report_date + $1
            -- Otherwise the later date decides. What was rendered before the last sign of reuse was
            -- seen is of the old life.
            ELSE (rendered_at, heard_at) >= (
                greatest(CASE WHEN highest_report_date <= statement_timestamp()
                              THEN highest_report_date END,
                         reuse_seen_at, '-infinity'),
                last_seen)
        END AS determines
    FROM determining s CROSS JOIN LATERAL (
        SELECT k.ctid AS client_row, k.accounted, k.highest_serial, k.highest_report_date,
               k.resynced_below, k.reuse_seen_at, k.last_seen, k.reply_queue AS known_queue
        FROM client k WHERE k.client_id = s.client_id OFFSET 0) c
),
judged AS MATERIALIZED (
    SELECT v.*,
        -- Whether it may become current. Types 700 and 701 are no states, and serials below
        -- resynced_below are overtaken.
        verdict NOT IN ('duplicate', 'reused')
        AND topic_type NOT IN (700, 701)
        AND (serial IS NULL OR serial >= resynced_below) AS stateful
    FROM (
        SELECT
            CASE
                WHEN s.serial IS NULL THEN
                    CASE WHEN (
                        SELECT true FROM state_message h
                        WHERE h.client_id = s.client_id AND h.serial IS NULL
                          AND h.digest = s.digest
                        LIMIT 1
                    ) THEN 'duplicate' ELSE 'new' END
                WHEN NOT c.accounted @> s.serial THEN
                    CASE WHEN s.rival THEN 'reused' ELSE 'new' END
                ELSE
                    CASE (
                        SELECT bool_or(h.digest = s.digest) FROM state_message h
                        WHERE h.client_id = s.client_id AND h.serial = s.serial
                    )
                        WHEN true THEN 'duplicate'
                        WHEN false THEN 'reused'
                        ELSE CASE WHEN s.rival THEN 'reused' ELSE 'late' END
                    END
            END AS verdict,
            -- The text is empty for no parameters and for one empty parameter.
            CASE WHEN s.param_texts <> '' THEN string_to_array(s.param_texts, E'\x1d')
                 WHEN s.param_count = 0 THEN '{}' ELSE '{""}' END AS params,
            c.resynced_below, s.*
        FROM stage s JOIN known c USING (client_id)
        OFFSET 0) v
),
stored AS (
    INSERT INTO state_message (
        client_id, serial, serial_text, digest, topic_type, topic_id, id_type, user_name,
        user_sid, state_id, criticality, message_time, params, details, details_type,
        report_date, forwarded_at, received_at, smx_id, batch_id, reused, resync_request_id,
        loaded_at)
    SELECT
        client_id, serial, serial_text, digest, topic_type, topic_id, id_type, user_name,
        user_sid, state_id, criticality, message_time, params, details, details_type,
        report_date, forwarded_at, received_at, smx_id, batch_id, verdict = 'reused', claim_id,
        statement_timestamp()
    FROM judged WHERE verdict <> 'duplicate'
),
-- The order is serial, time, digest. Clocks of clients jump but serials do not, and the digest
-- makes the order total. A message without a serial has only its time. If that is in the future,
-- the time of receipt counts instead; otherwise no later message would replace it.
newest AS MATERIALIZED (
    SELECT DISTINCT ON (client_id, topic_type, topic_id, user_sid)
        client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
        message_time, digest, params, details
    FROM (
        SELECT client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
            CASE WHEN serial IS NULL AND message_time > statement_timestamp()
                 THEN least(received_at, statement_timestamp()) ELSE message_time
            END AS message_time, digest, params, details
        FROM judged WHERE stateful) s
    ORDER BY client_id, topic_type, topic_id, user_sid,
             coalesce(serial, 0) DESC, message_time DESC, digest DESC
),
compared AS MATERIALIZED (
    SELECT k.state_row,
        k.state_row IS NULL OR (coalesce(n.serial, 0), n.message_time, n.digest)
            > (coalesce(k.serial, 0), k.message_time, k.digest) AS applies,
        n.*
    FROM newest n LEFT JOIN LATERAL (
        SELECT w.ctid AS state_row, w.serial, w.digest,
            -- Older versions stored times of the future; such a row is replaced.
            CASE WHEN w.serial IS NULL AND w.message_time > statement_timestamp()
                 THEN '-infinity' ELSE w.message_time END AS message_time
        FROM current_state w
        WHERE (w.client_id, w.topic_type, w.topic_id, w.user_sid)
            = (n.client_id, n.topic_type, n.topic_id, n.user_sid) OFFSET 0) k ON true
),
inserted AS (
    INSERT INTO current_state (
        client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
        message_time, digest, params, details)
    SELECT client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
        message_time, digest, params, details
    FROM compared WHERE state_row IS NULL
),
updated AS (
    UPDATE current_state w SET
        id_type = n.id_type, state_id = n.state_id, criticality = n.criticality,
        serial = n.serial, message_time = n.message_time, digest = n.digest,
        params = n.params, details = n.details
    FROM compared n WHERE w.ctid = n.state_row AND n.applies
),
tally AS MATERIALIZED (
    SELECT client_id,
        -- The null check is needed, since a range with null bounds is unbounded.
        coalesce(range_agg(int8range(serial, serial + 1))
            FILTER (WHERE verdict = 'new' AND serial IS NOT NULL), '{}') AS arrived,
        max(serial) FILTER (WHERE verdict = 'new') AS highest,
        max(report_date) AS latest_report_date,
        sum(copies) AS copies,
        count(*) FILTER (WHERE verdict = 'new') AS new,
        count(*) FILTER (WHERE verdict = 'late') AS late,
        count(*) FILTER (WHERE verdict = 'reused') AS reused,
        count(*) FILTER (WHERE stateful) AS stateful,
        bool_or(claim_id IS NOT NULL) AS claims,
        max(message_time) AS last_message_time
    FROM judged GROUP BY client_id
),
-- The client's new counters, with which the second sign of reuse is found.
ahead AS MATERIALIZED (
    SELECT t.*, k.client_row, k.determines, k.client_name, k.client_version, k.reply_queue, k.heard_at,
        greatest(t.highest, k.highest_serial) AS new_highest,
        CASE WHEN t.highest > k.highest_serial THEN j.report_date
             ELSE k.highest_report_date END AS new_highest_date
    FROM tally t
    JOIN known k USING (client_id)
    LEFT JOIN judged j ON j.client_id = t.client_id AND j.serial = t.highest AND j.verdict = 'new'
),
behind AS (
    SELECT DISTINCT j.client_id
    FROM (SELECT * FROM ahead WHERE latest_report_date > new_highest_date + $1) a
    JOIN judged j USING (client_id)
    WHERE j.verdict NOT IN ('duplicate', 'reused')
      AND j.serial < a.new_highest AND j.report_date > a.new_highest_date + $1
    UNION
    -- The third sign: a message that a resync wrote off, rendered after the resync answer. The
    -- machine that answered counts on above it, so another machine counts below. Then the date of
    -- the highest serial is no sign, since both machines provide it in turn.
    SELECT client_id
    FROM judged j
    WHERE j.verdict = 'late' AND j.serial < j.resynced_below
      AND j.report_date > $1 + (
          SELECT h.report_date FROM state_message h
          WHERE h.client_id = j.client_id AND h.serial = j.resynced_below AND NOT h.reused
          LIMIT 1)
),
applied AS (
    SELECT client_id, count(*) AS messages FROM compared WHERE applies GROUP BY client_id
),
moves AS MATERIALIZED (
    SELECT a.*, b.client_id IS NOT NULL AS counts_anew,
        a.stateful - coalesce(p.messages, 0) AS superseded
    FROM ahead a
    LEFT JOIN behind b ON b.client_id = a.client_id
    LEFT JOIN applied p ON p.client_id = a.client_id
),
counted AS (
    UPDATE client c SET
        highest_serial = a.new_highest,
        highest_report_date = a.new_highest_date,
        accounted = c.accounted + a.arrived,
        reuse_seen_at = CASE
            WHEN a.reused > 0 OR a.counts_anew
            THEN statement_timestamp() ELSE c.reuse_seen_at END,
        name = CASE WHEN a.determines THEN a.client_name ELSE c.name END,
        version = CASE WHEN a.determines THEN a.client_version ELSE c.version END,
        reply_queue = CASE WHEN a.determines THEN a.reply_queue ELSE c.reply_queue END,
        -- Older versions stored times of the future; they are limited to now.
        last_seen = least(greatest(c.last_seen, a.heard_at), statement_timestamp()),
        last_message_time = least(
            greatest(c.last_message_time, a.last_message_time), statement_timestamp()),
        messages = c.messages + a.copies,
        duplicates = c.duplicates + a.copies - a.new - a.late - a.reused,
        superseded = c.superseded + a.superseded,
        reused = c.reused + a.reused
    FROM moves a
    WHERE c.ctid = a.client_row
    RETURNING c.client_id, a.claims,
        c.accounted <> int8multirange(int8range(1, c.highest_serial + 1)) AS incomplete
),
attending AS (
    INSERT INTO attention (client_id)
    SELECT client_id FROM counted
    WHERE claims OR incomplete
       OR (SELECT true FROM missing_message_range m
           WHERE m.client_id = counted.client_id AND m.closed_at IS NULL LIMIT 1)
       OR (SELECT true FROM resync_request r
           WHERE r.client_id = counted.client_id AND r.first_serial IS NOT NULL LIMIT 1)
)
SELECT
    coalesce(sum(new), 0)::bigint AS new,
    coalesce(sum(late), 0)::bigint AS late,
    coalesce(sum(reused), 0)::bigint AS reused,
    coalesce(sum(copies - new - late - reused), 0)::bigint AS duplicates
FROM tally;
