-- Collections: a name, a rule, and the clients that it picked out when it was last evaluated.
--
-- Locks: no table that exists, and no time that depends on how many rows there are: two empty
-- tables and a function.

CREATE TABLE collection (
    -- Members refer to the number, which is shorter than the name; one that is deleted and made
    -- anew is another one.
    id           integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name         text COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z0-9-]{1,64}$'),
    rule         text NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    -- When a loader tried to evaluate the rule last.
    tried_at     timestamptz,
    -- When it was evaluated last, and what was found; null until it was.
    evaluated_at timestamptz,
    took         interval,
    -- How many members of which condition: {"gaps": 3, …}.
    conditions   jsonb,
    -- Why the last try failed, such as a rule that the loader could not read.
    problem      text
);
-- Names are compared in any letter case.
CREATE UNIQUE INDEX collection_name ON collection (lower(name));

-- Kept by the loaders, and changed only where a client joins or leaves.
CREATE TABLE collection_member (
    collection integer NOT NULL REFERENCES collection ON DELETE CASCADE,
    client_id  uuid NOT NULL,
    joined_at  timestamptz NOT NULL,
    -- Unlike all other tables by collection first: it is read and written one collection at a time.
    PRIMARY KEY (collection, client_id)
);

-- The parts of a version as numbers, without zeros at the end: 5.00.0 is 5. Null for any other text.
-- Arrays are compared part by part, and of two that begin alike the shorter one is less.
CREATE FUNCTION version_parts(version text)
RETURNS integer[] LANGUAGE sql IMMUTABLE
RETURN CASE WHEN version ~ '^[0-9]{1,9}(\.[0-9]{1,9}){0,15}$' THEN
    string_to_array(regexp_replace(version, '(^|\.)0+(\.0+)*$', ''), '.')::integer[]
END;

-- What is new is for the roles that hold rights on `duty`. Those who may ask clients for their state,
-- the operators, may make and delete collections too.
SELECT grant_as('duty', 'collection, collection_member');
SELECT grant_to_holders('SELECT', 'duty', 'EXECUTE ON FUNCTION version_parts');
SELECT grant_to_holders('INSERT', 'resync_request',
    'INSERT, UPDATE, DELETE ON collection, collection_member');
