-- The workers of the site, and the clients whose reports the relays set aside.
--
-- Locks: no table that exists, and no time that depends on how many rows there are.

-- Each run of a relay or a loader, from its heartbeats. A worker that starts again is a new row.
-- No index but the key: every heartbeat changes the other columns.
CREATE TABLE worker (
    id            uuid PRIMARY KEY,
    role          text NOT NULL CHECK (role IN ('relay', 'loader')),
    host          text NOT NULL,
    pid           integer NOT NULL,
    version       text NOT NULL,
    -- By the worker's clock.
    started_at    timestamptz NOT NULL,
    -- By the database's clock.
    first_seen_at timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    -- When its last heartbeat was stored; null for a worker at work, or one that was killed.
    ended_at      timestamptz,
    settings      jsonb NOT NULL,
    -- Seconds of the worker's own, which nobody sets: the newest heartbeat and the one before.
    uptime        double precision NOT NULL,
    was_uptime    double precision NOT NULL DEFAULT 0,
    -- Since the start of the worker; they never fall.
    reports       bigint NOT NULL,
    batches       bigint NOT NULL,
    chunks        bigint NOT NULL,
    messages      bigint NOT NULL,
    refused       bigint NOT NULL,
    quarantined   bigint NOT NULL,
    -- At was_uptime: from the difference follows what it does in a second.
    was_reports   bigint NOT NULL DEFAULT 0,
    was_messages  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 60);

-- Sums over the workers whose rows were removed, so that the site's sums never fall.
CREATE TABLE worker_ended (
    role        text COLLATE "C" PRIMARY KEY,
    workers     bigint NOT NULL,
    reports     numeric NOT NULL,
    batches     numeric NOT NULL,
    chunks      numeric NOT NULL,
    messages    numeric NOT NULL,
    refused     numeric NOT NULL,
    quarantined numeric NOT NULL
) WITH (fillfactor = 60);

-- Clients whose reports the relays set aside as dead letters.
CREATE TABLE client_quarantine (
    client_id uuid PRIMARY KEY,
    since     timestamptz NOT NULL DEFAULT now(),
    by        text NOT NULL,
    why       text NOT NULL
);

-- What is new is for the roles that hold rights on `duty`. Loaders only read the quarantine; those who
-- may delete a client, which operators may, put clients in and out.
SELECT grant_as('duty', 'worker, worker_ended');
SELECT grant_to_holders('SELECT', 'duty', 'SELECT ON client_quarantine');
SELECT grant_to_holders('DELETE', 'client', 'INSERT, DELETE ON client_quarantine');
