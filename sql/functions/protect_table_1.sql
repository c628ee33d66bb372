-- protect_table: close a table to everybody, then open it to the roles.
--
-- Parameters  table_name, in the schema candlecast; writer_privileges beside SELECT: INSERT, UPDATE, DELETE, or
--             NULL for a table that nobody but the owner touches, such as a partition reached through its parent
-- Called by   every migration that makes a table, and by functions that make partitions
--
-- Row security is on for every table, so a grant that slips in later still shows no row.

CREATE FUNCTION candlecast.protect_table(table_name text, writer_privileges text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation regclass := format('candlecast.%I', table_name)::regclass;
    grantee text;
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC', relation);
    FOR grantee IN
        SELECT DISTINCT role.rolname
        FROM pg_catalog.pg_class AS class
        CROSS JOIN LATERAL aclexplode(class.relacl) AS acl
        INNER JOIN pg_catalog.pg_roles AS role ON role.oid = acl.grantee
        WHERE class.oid = relation AND acl.grantee <> class.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %I', relation, grantee);
    END LOOP;
    EXECUTE format('DROP POLICY IF EXISTS reader ON %s', relation);
    EXECUTE format('DROP POLICY IF EXISTS writer ON %s', relation);
    IF writer_privileges IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE POLICY reader ON %s FOR SELECT TO candlecast_reader USING (true)', relation);
    EXECUTE format('CREATE POLICY writer ON %s TO candlecast_writer USING (true) WITH CHECK (true)', relation);
    EXECUTE format('GRANT SELECT ON TABLE %s TO candlecast_reader, candlecast_writer', relation);
    IF cardinality(writer_privileges) > 0 THEN
        EXECUTE format(
            'GRANT %s ON TABLE %s TO candlecast_writer', array_to_string(writer_privileges, ', '), relation
        );
    END IF;
END
$$;
