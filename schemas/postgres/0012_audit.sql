-- Who changed something through the viewer, and when.
--
-- Locks: no table that exists, and no time that depends on how many rows there are.

-- An entry is written before the action, and its result after. Nothing deletes entries: an action
-- is the deed of a person, so a year has thousands of them, not millions.
CREATE TABLE audit_entry (
    id       bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The name that the person logged in with, and the address of the connection.
    who      text NOT NULL,
    address  text NOT NULL,
    -- Such as 'resync', and the command line that does the same.
    action   text NOT NULL,
    command  text NOT NULL,
    -- When it was done or failed; null while it runs, or if the viewer died meanwhile.
    ended_at timestamptz,
    failed   boolean,
    -- What was done, or why it failed.
    result   text,
    CHECK (num_nulls(ended_at, failed, result) IN (0, 3))
);

-- What is new is for the roles that hold rights on `duty`, but only to read. Those who may put a client
-- into quarantine, the operators, write entries; nobody but the owner changes what was done.
SELECT grant_to_holders('SELECT', 'duty', 'SELECT ON audit_entry');
SELECT grant_to_holders('INSERT', 'client_quarantine',
    'INSERT, UPDATE (ended_at, failed, result) ON audit_entry');
