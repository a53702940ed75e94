-- Who sends how much: a counter of each client, its values at the last hours, and counts by topic.
--
-- Locks client against everybody (ACCESS EXCLUSIVE) for some milliseconds, whatever it holds: a
-- column with a constant default is a note in the catalogue, and no row is written. (40 ms with
-- 1,000,000 clients and 20,000,000 messages.)

-- State messages received, copies included. Counted since this file was applied; loading writes the
-- row anyway.
ALTER TABLE client ADD COLUMN messages bigint NOT NULL DEFAULT 0;

-- The moments of the last snapshots, about an hour apart; 25 are kept. At number 0, all counters
-- were 0.
CREATE TABLE activity_snapshot (
    number   integer PRIMARY KEY,
    taken_at timestamptz NOT NULL
);
INSERT INTO activity_snapshot (number, taken_at) VALUES (0, now());

-- The counters of clients at the last snapshots. A client without a row had sent nothing by then.
CREATE TABLE client_activity (
    client_id uuid PRIMARY KEY,
    -- The last snapshot at which the counter had changed. Later ones found the value of this one.
    snapshot  integer NOT NULL,
    -- The counter modulo 2^31 at this snapshot and at the ones before it, newest first, 25 at most.
    -- The difference of two is right below 2^31.
    totals    integer[] NOT NULL CHECK (cardinality(totals) BETWEEN 1 AND 25)
-- Half a page is free, so that a snapshot that changes every row stays within the pages (HOT).
) WITH (fillfactor = 50);

-- State messages that the loaders stored or recognised, by the hour in which they were counted
-- (UTC) and their topic type.
CREATE TABLE topic_activity (
    hour       timestamptz NOT NULL,
    topic_type integer NOT NULL,
    messages   bigint NOT NULL CHECK (messages > 0),
    PRIMARY KEY (hour, topic_type)
) WITH (fillfactor = 50);

-- What a client has sent since a snapshot that is still kept.
--
-- messages: its counter now. snapshot, totals: its row of client_activity, or nulls. since: the
-- number of the snapshot.
CREATE FUNCTION sent_since(messages bigint, snapshot integer, totals integer[], since integer)
RETURNS bigint LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT (messages % 2147483648 + 2147483648
            - coalesce(totals[greatest(snapshot - since, 0) + 1], 0)) % 2147483648;
END;

-- What the clients of a large site sent in about an hour and about a day, kept by a periodic task of
-- the loaders.
CREATE TABLE top_window (
    name     text COLLATE "C" PRIMARY KEY CHECK (name IN ('hour', 'day')),
    begin_at timestamptz NOT NULL,
    end_at   timestamptz NOT NULL,
    -- Clients that sent anything, and what they sent: in all, and the median of them.
    clients  bigint NOT NULL,
    messages bigint NOT NULL,
    median   bigint NOT NULL
);
-- The clients that sent most in one of them.
CREATE TABLE top_client (
    client_id uuid PRIMARY KEY,
    hour      bigint NOT NULL,
    day       bigint NOT NULL
);

-- What each client has sent since two snapshots. It reads all clients.
CREATE FUNCTION sent_by_clients(hour_since integer, day_since integer)
RETURNS TABLE (client_id uuid, hour bigint, day bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.client_id,
           statesys.sent_since(c.messages, a.snapshot, a.totals, hour_since),
           statesys.sent_since(c.messages, a.snapshot, a.totals, day_since)
    FROM statesys.client c LEFT JOIN statesys.client_activity a USING (client_id);
END;

-- What is new is for the roles that hold rights on `duty`. An operator who may forget a client may
-- forget what it sent.
SELECT grant_as('duty',
    'client_activity, activity_snapshot, topic_activity, top_window, top_client');
SELECT grant_to_holders('SELECT', 'duty',
    'EXECUTE ON FUNCTION sent_since, sent_by_clients');
SELECT grant_to_holders('DELETE', 'client', 'DELETE ON client_activity, top_client');
