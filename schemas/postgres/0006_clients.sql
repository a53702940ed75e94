-- What lists of clients need: names in any letter case, and the hour in which a client was last
-- heard of.
--
-- Locks client against everybody (ACCESS EXCLUSIVE) while the table is written anew with its
-- indexes: 4 s at 1,000,000 clients, on two cores with other work; PostgreSQL 15.18. No other table
-- is rewritten, however large it is. Loaders that run wait, and go on afterwards.

-- An index on last_seen would change with every report. The hour changes once an hour, and every
-- other update stays on its page (HOT).
ALTER TABLE client ADD COLUMN seen_hour timestamptz GENERATED ALWAYS AS
    (date_trunc('hour', last_seen AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') STORED;
CREATE INDEX client_seen ON client (seen_hour, client_id);
-- By bytes, so that it serves prefixes and the order of a list.
CREATE INDEX client_name ON client (lower(name) COLLATE "C", client_id);

-- The clients of a name, in any letter case: several machines may have the same.
CREATE FUNCTION client_named(wanted text)
RETURNS TABLE (client_id uuid, name text, version text, last_seen timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.client_id, c.name, c.version, c.last_seen
    FROM statesys.client c WHERE lower(c.name) COLLATE "C" = lower(wanted) COLLATE "C";
END;

-- A request of many that an operator asked for together: sent over a time, and held back under
-- backlog as those of a check are. No rewrite: the default is constant.
ALTER TABLE resync_request ADD COLUMN one_of_many boolean NOT NULL DEFAULT false;

-- What is new is for the roles that hold rights on `duty`.
SELECT grant_to_holders('SELECT', 'duty', 'EXECUTE ON FUNCTION client_named');
