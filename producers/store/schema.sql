-- The durable store of a fleet: what its clients know about themselves, and what they still owe.
--
-- Clients are keyed by their number in the fleet; UUIDs are 16 bytes; moments are ISO 8601 texts in
-- UTC, so that a person with the sqlite3 shell can read them.

-- One row: the fleet itself. The store's id names its reply queue.
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
    -- Not unique: two machines may share an id, which is one of the faults on purpose.
    client_id blob NOT NULL CHECK (length(client_id) = 16),
    name text NOT NULL,
    version text NOT NULL,
    -- The counter: the last serial that was given, 0 before the first.
    last_serial integer NOT NULL DEFAULT 0,
    -- Forward cycles behind it; the next one is made from this number.
    cycle integer NOT NULL DEFAULT 0,
    last_forwarded_at text,
    -- How often its store was lost or rolled back on purpose: each time, another life begins. A
    -- cloned machine begins with a number of its own, so that no two lives of one id are the same.
    life integer NOT NULL DEFAULT 0,
    -- The highest serial of the lives before.
    ceiling integer NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX client_by_id ON client (client_id);

-- The law of the counter, held by the database whatever the program does: within one life it never
-- goes back.
CREATE TRIGGER counter_never_falls BEFORE UPDATE OF last_serial ON client
WHEN new.last_serial < old.last_serial AND new.life = old.life
BEGIN
    SELECT raise(ABORT, 'the serial counter of a client never goes back');
END;

-- The last state of every topic: the answer to a resync. Without a serial it is not sent yet.
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

-- The ledger of everything that was ever numbered, in whatever life. The key is the promise that
-- no life gives a serial twice: a second one fails the transaction that gives it.
CREATE TABLE sent (
    client integer NOT NULL,
    life integer NOT NULL,
    serial integer NOT NULL,
    digest blob NOT NULL CHECK (length(digest) = 16),
    PRIMARY KEY (client, life, serial)
) STRICT, WITHOUT ROWID;

-- Rendered reports until the broker has confirmed them. A position is never used again
-- (AUTOINCREMENT), so a publisher that remembers how far it came misses nothing.
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
    -- How many newer reports of the client go first; NULL: this one may go.
    held integer
) STRICT;

CREATE INDEX outbox_held ON outbox (client) WHERE held IS NOT NULL;

-- Resync requests that were answered; each is answered once, over restarts too.
CREATE TABLE answered (
    client integer NOT NULL,
    request_id blob NOT NULL,
    first_serial integer NOT NULL,
    last_serial integer NOT NULL,
    answered_at text NOT NULL,
    PRIMARY KEY (client, request_id)
) STRICT, WITHOUT ROWID;

-- Faults on purpose; `life` is the one in which the serials were given.
CREATE TABLE injected (
    fault text NOT NULL,
    client integer NOT NULL,
    life integer NOT NULL,
    message_id blob NOT NULL,
    first_serial integer NOT NULL,
    last_serial integer NOT NULL,
    injected_at text NOT NULL
) STRICT;

-- What a client is rolled back to on purpose: its counter and its states at an earlier moment.
CREATE TABLE backup (
    client integer PRIMARY KEY,
    last_serial integer NOT NULL
) STRICT;

CREATE TABLE backup_state AS SELECT * FROM state WHERE false;
