-- Functions with which a migration gives what is new to the roles that hold rights on older tables,
-- so that an upgraded site needs no further grants. The migration drops them at its end.

-- Gives `granted` to each role that holds a right on the table.
CREATE FUNCTION grant_to_holders(held text, of_table regclass, granted text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE holder oid;
BEGIN
    FOR holder IN
        SELECT acl.grantee
        FROM pg_class t, aclexplode(t.relacl) acl
        WHERE t.oid = of_table AND acl.privilege_type = held AND acl.grantee <> t.relowner
    LOOP
        EXECUTE format('GRANT %s TO %s', granted,
                       CASE holder WHEN 0 THEN 'PUBLIC' ELSE holder::regrole::text END);
    END LOOP;
END $$;

-- Gives each role the rights on new tables that it holds on another one.
CREATE FUNCTION grant_as(like_table regclass, new_tables text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE held text;
BEGIN
    FOR held IN
        SELECT DISTINCT acl.privilege_type
        FROM pg_class t, aclexplode(t.relacl) acl WHERE t.oid = like_table
    LOOP
        PERFORM grant_to_holders(held, like_table, held || ' ON ' || new_tables);
    END LOOP;
END $$;
