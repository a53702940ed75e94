-- Rights that a role lacks, in the words of GRANT; no rows if it has them all. The statements only
-- read the catalogue.

-- name: loader
-- Rights that loading or the periodic tasks need and the role lacks.
WITH needed(tab, rights) AS (VALUES
    ('client', '{SELECT,INSERT,UPDATE}'::text[]),
    ('state_message', '{SELECT,INSERT}'),
    ('current_state', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('missing_message_range', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('resync_request', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('duty', '{SELECT,INSERT,UPDATE}'),
    ('site', '{SELECT,INSERT,UPDATE}'),
    ('site_totals', '{SELECT,INSERT,UPDATE}'),
    ('loader', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('client_activity', '{SELECT,INSERT,UPDATE}'),
    ('activity_snapshot', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('topic_activity', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('state_totals', '{SELECT,INSERT,DELETE}'),
    ('rare_state', '{SELECT,INSERT,DELETE}'),
    ('collection', '{SELECT,UPDATE}'),
    ('collection_member', '{SELECT,INSERT,DELETE}'),
    ('worker', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('worker_ended', '{SELECT,INSERT,UPDATE}'),
    ('client_quarantine', '{SELECT}'),
    ('top_window', '{SELECT,INSERT,UPDATE}'),
    ('top_client', '{SELECT,INSERT,DELETE}')
)
SELECT 'TEMPORARY ON DATABASE ' || quote_ident(current_database())
WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
UNION ALL
SELECT kind || ' ON statesys.' || tab
FROM needed, unnest(rights) AS kind
WHERE NOT has_table_privilege('statesys.' || tab, kind)
UNION ALL
SELECT 'EXECUTE ON FUNCTION ' || called::text
FROM unnest('{answer_comes,asked,duplicate_identity,silent,client_condition,resync_due,count_totals,
             count_state_totals,clients_in_rare_states,version_parts,sent_since,sent_by_clients,
             larger_counts,sum_of_counts,name_parts}'::regproc[]) AS called
WHERE NOT has_function_privilege(called, 'EXECUTE')
UNION ALL
-- Partition maintenance creates a table for each day, which only the owner of state_message may
-- attach.
SELECT 'CREATE ON SCHEMA statesys' WHERE NOT has_schema_privilege('statesys', 'CREATE')
UNION ALL
SELECT 'ownership of statesys.state_message'
FROM pg_class
WHERE oid = 'statesys.state_message'::regclass AND NOT pg_has_role(relowner, 'USAGE');

-- name: migration
-- Rights that applying a file needs and the role lacks. The schema and state_message may not exist
-- yet.
SELECT 'CREATE ON DATABASE ' || quote_ident(current_database())
WHERE to_regnamespace('statesys') IS NULL
  AND NOT has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT 'CREATE ON SCHEMA statesys'
FROM pg_namespace
WHERE nspname = 'statesys' AND NOT has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT 'ownership of statesys.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'statesys' AND c.relname IN ('migration', 'state_message')
  AND NOT pg_has_role(c.relowner, 'USAGE');
