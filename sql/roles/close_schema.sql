-- close_schema: the schema is its owner's, visible to the two other roles and to nobody else.
--
-- Hosted databases grant things by default privileges, so every grantee that is not ours is closed out.

DO $$
DECLARE
    grantee text;
BEGIN
    REVOKE ALL ON SCHEMA candlecast FROM PUBLIC;
    FOR grantee IN
        SELECT DISTINCT role.rolname
        FROM pg_catalog.pg_namespace AS namespace
        CROSS JOIN LATERAL aclexplode(namespace.nspacl) AS acl
        INNER JOIN pg_catalog.pg_roles AS role ON role.oid = acl.grantee
        WHERE namespace.nspname = 'candlecast' AND role.rolname <> 'candlecast_owner'
    LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA candlecast FROM %I', grantee);
    END LOOP;
    GRANT USAGE ON SCHEMA candlecast TO candlecast_reader, candlecast_writer;
    ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
END
$$;
