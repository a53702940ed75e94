-- The tables of the state system. Everything is keyed by client first, so that all of it can be
-- distributed by client_id. CHECKs carry the invariants; the loader's statements keep them.
--
-- Fill factors leave room for updates within the page (HOT), and no index covers a column that
-- changes: an update then touches one heap page and no index.

CREATE TABLE client (
    client_id            uuid PRIMARY KEY,
    name                 text NOT NULL DEFAULT '',
    version              text NOT NULL DEFAULT '',
    -- The highest counted serial that arrived; 0 before the first.
    highest_serial       bigint NOT NULL DEFAULT 0 CHECK (highest_serial >= 0),
    -- The Date of the report that brought it: what a sign of reused serials is measured against.
    highest_report_date  timestamptz,
    -- Serials that arrived, or that a resync or a merge made not worth waiting for.
    accounted            int8multirange NOT NULL DEFAULT '{}',
    -- Serials below are no longer this client's state: a completed resync overtook them.
    resynced_below       bigint NOT NULL DEFAULT 0,
    reuse_seen_at        timestamptz,
    duplicate_identity_at timestamptz,
    reply_queue          text,
    first_seen           timestamptz NOT NULL DEFAULT now(),
    last_seen            timestamptz,
    last_message_time    timestamptz,
    duplicates           bigint NOT NULL DEFAULT 0,
    superseded           bigint NOT NULL DEFAULT 0,
    reused               bigint NOT NULL DEFAULT 0,
    CHECK (accounted <@ int8multirange(int8range(1, highest_serial + 1))),
    CHECK (resynced_below <= highest_serial)
) WITH (fillfactor = 60);

-- Few clients ever have the sign; the check looks at those only. The column hardly ever changes.
CREATE INDEX client_reuse ON client (client_id) WHERE reuse_seen_at IS NOT NULL;

CREATE TABLE state_message (
    client_id         uuid NOT NULL,
    serial            bigint CHECK (serial BETWEEN 1 AND 9223372036854775806),
    serial_text       text,
    digest            bytea NOT NULL CHECK (octet_length(digest) = 16),
    topic_type        integer NOT NULL,
    topic_id          text NOT NULL,
    id_type           integer,
    user_name         text NOT NULL,
    user_sid          text NOT NULL,
    state_id          integer NOT NULL,
    criticality       integer NOT NULL,
    message_time      timestamptz NOT NULL,
    params            text[] NOT NULL,
    details           text,
    details_type      text,
    report_date       timestamptz NOT NULL,
    forwarded_at      timestamptz,
    received_at       timestamptz NOT NULL,
    smx_id            uuid NOT NULL,
    batch_id          uuid NOT NULL,
    -- Another message had arrived under this serial before: kept, and touching nothing else.
    reused            boolean NOT NULL DEFAULT false,
    -- The resync request whose answer the message came in.
    resync_request_id uuid,
    loaded_at         timestamptz NOT NULL
) PARTITION BY RANGE (loaded_at);

-- Finds a duplicate, a reuse, and the messages of a client for `trace`. Not unique: a partition
-- knows nothing of the others; the client's row lock is what makes loading exact.
CREATE INDEX state_message_identity ON state_message (client_id, serial, digest);

CREATE TABLE current_state (
    client_id    uuid NOT NULL,
    topic_type   integer NOT NULL,
    topic_id     text NOT NULL,
    user_sid     text NOT NULL,
    id_type      integer,
    state_id     integer NOT NULL,
    criticality  integer NOT NULL,
    serial       bigint,
    message_time timestamptz NOT NULL,
    digest       bytea NOT NULL,
    params       text[] NOT NULL,
    details      text,
    PRIMARY KEY (client_id, topic_type, topic_id, user_sid)
) WITH (fillfactor = 75);

CREATE TABLE missing_message_range (
    client_id    uuid NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    first_serial bigint NOT NULL CHECK (first_serial >= 1),
    last_serial  bigint NOT NULL,
    -- More ranges than are kept for one client became this one; only a completed resync closes it.
    merged       boolean NOT NULL DEFAULT false,
    detected_at  timestamptz NOT NULL,
    closed_at    timestamptz,
    closed_how   text CHECK (closed_how IN ('arrived', 'resynced')),
    PRIMARY KEY (client_id, id),
    CHECK (first_serial <= last_serial),
    CHECK ((closed_at IS NULL) = (closed_how IS NULL))
) WITH (fillfactor = 75);

CREATE UNIQUE INDEX missing_message_range_open
    ON missing_message_range (client_id, first_serial) WHERE closed_at IS NULL;

CREATE TABLE resync_request (
    client_id      uuid NOT NULL,
    request_id     uuid NOT NULL,
    reason         text CHECK (reason IN ('missing', 'serial_reused', 'merged', 'operator')),
    ranges         int8multirange NOT NULL DEFAULT '{}',
    highest_serial bigint NOT NULL DEFAULT 0,
    -- Null for a claim whose request this database never made.
    requested_at   timestamptz,
    sent_at        timestamptz,
    closed_at      timestamptz,
    closed_how     text CHECK (closed_how IN
                       ('answered', 'overtaken', 'arrived', 'unanswered', 'unroutable')),
    -- The claim: "my whole state is in serials first..last"; null until one arrives.
    first_serial   bigint,
    last_serial    bigint,
    attempts       integer NOT NULL DEFAULT 0,
    PRIMARY KEY (client_id, request_id),
    CHECK ((requested_at IS NULL) = (reason IS NULL)),
    CHECK ((closed_at IS NULL) = (closed_how IS NULL)),
    CHECK ((first_serial IS NULL) = (last_serial IS NULL)),
    CHECK (first_serial <= last_serial)
) WITH (fillfactor = 75);

CREATE INDEX resync_request_open ON resync_request (requested_at) WHERE closed_at IS NULL;

CREATE TABLE topic_state (
    topic_type integer NOT NULL,
    topic_name text NOT NULL,
    state_id   integer,
    state_name text,
    UNIQUE NULLS NOT DISTINCT (topic_type, state_id)
);

-- When a duty that is done once for the whole site was last done, however many loaders run.
CREATE TABLE duty (
    name    text PRIMARY KEY,
    done_at timestamptz NOT NULL
);
