-- The durable store of a fleet: serials, states, and the reports that are not confirmed yet.
--
-- The key of a client is its number in the fleet. UUIDs are 16 bytes. Moments are ISO 8601 texts in
-- UTC, so that they can be read in the sqlite3 shell.

-- One row: the fleet itself. The reply queue is named after `store_id`.
CREATE TABLE fleet (
    only integer PRIMARY KEY CHECK (only = 1),
    store_id blob NOT NULL CHECK (length(store_id) = 16),
    seed integer NOT NULL,
    created_at text NOT NULL,
    reports integer NOT NULL DEFAULT 0,
    messages integer NOT NULL DEFAULT 0,
    heartbeats integer NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE client (
    number integer PRIMARY KEY,
    -- Not unique: with the store fault `twin`, two machines share an id.
    client_id blob NOT NULL CHECK (length(client_id) = 16),
    name text NOT NULL,
    version text NOT NULL,
    -- The counter: the last serial that was used, 0 before the first.
    last_serial integer NOT NULL DEFAULT 0,
    -- Number of finished forward cycles; the messages of the next one are computed from it.
    cycle integer NOT NULL DEFAULT 0,
    last_forwarded_at text,
    -- Number of the life; plus 1 each time that the store is lost or rolled back by a fault. Cloned
    -- machines start at different numbers, so that the lives of one id stay apart.
    life integer NOT NULL DEFAULT 0,
    -- The highest serial of the earlier lives.
    ceiling integer NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX client_by_id ON client (client_id);

-- The database itself makes sure that the counter never goes back within one life.
CREATE TRIGGER counter_never_falls BEFORE UPDATE OF last_serial ON client
WHEN new.last_serial < old.last_serial AND new.life = old.life
BEGIN
    SELECT raise(ABORT, 'the serial counter of a client never goes back');
END;

-- The last state of every topic, for answers to resync requests. Serial NULL: not sent yet.
CREATE TABLE state (
    client integer NOT NULL,
    topic_type integer NOT NULL,
    topic_id text NOT NULL,
    user_sid text NOT NULL,
    id_type integer,
    user_name text NOT NULL,
    state_id integer NOT NULL,
    criticality integer NOT NULL,
    message_time text NOT NULL,
    params text NOT NULL,
    details text,
    details_type text,
    serial integer,
    digest blob,
    PRIMARY KEY (client, topic_type, topic_id, user_sid),
    CHECK ((serial IS NULL) = (digest IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX state_unsent ON state (client) WHERE serial IS NULL;

-- Every message that was ever numbered, in any life. The key makes a transaction fail that uses a
-- serial twice in one life.
CREATE TABLE sent (
    client integer NOT NULL,
    life integer NOT NULL,
    serial integer NOT NULL,
    digest blob NOT NULL CHECK (length(digest) = 16),
    PRIMARY KEY (client, life, serial)
) STRICT, WITHOUT ROWID;

-- Rendered reports until the broker has confirmed them. A position is never used again
-- (AUTOINCREMENT), so a publisher that reads on from its last position misses no report.
CREATE TABLE outbox (
    position integer PRIMARY KEY AUTOINCREMENT,
    client integer NOT NULL,
    message_id blob NOT NULL,
    body blob NOT NULL,
    first_serial integer NOT NULL,
    last_serial integer NOT NULL,
    messages integer NOT NULL,
    correlation_id blob,
    rendered_at integer NOT NULL,
    -- Number of newer reports of the client that still go first; NULL: may be published.
    held integer
) STRICT;

CREATE INDEX outbox_held ON outbox (client) WHERE held IS NOT NULL;

-- Answered resync requests, kept so that each is answered once, also after a restart.
CREATE TABLE answered (
    client integer NOT NULL,
    request_id blob NOT NULL,
    first_serial integer NOT NULL,
    last_serial integer NOT NULL,
    answered_at text NOT NULL,
    PRIMARY KEY (client, request_id)
) STRICT, WITHOUT ROWID;

-- Injected faults; `life` is the one in which the serials were used.
CREATE TABLE injected (
    fault text NOT NULL,
    client integer NOT NULL,
    life integer NOT NULL,
    message_id blob NOT NULL,
    first_serial integer NOT NULL,
    last_serial integer NOT NULL,
    injected_at text NOT NULL
) STRICT;

-- Backups for the store fault `rollback`: counter and states of a client at an earlier moment.
CREATE TABLE backup (
    client integer PRIMARY KEY,
    last_serial integer NOT NULL
) STRICT;

CREATE TABLE backup_state AS SELECT * FROM state WHERE false;
