-- enter_owner: make the schema and let the migrating user act as candlecast_owner.
--
-- Runs inside the migration's transaction, before SET LOCAL ROLE. A user that made the role by CREATEROLE is on
-- PostgreSQL 16 and later its administrator but not yet a member that may SET ROLE, so the membership is granted.

DO $$
DECLARE
    may_enter boolean;
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        may_enter := pg_has_role(current_user, 'candlecast_owner', 'SET');
    ELSE
        may_enter := pg_has_role(current_user, 'candlecast_owner', 'MEMBER');
    END IF;
    IF NOT may_enter THEN
        EXECUTE format('GRANT candlecast_owner TO %I', current_user);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'candlecast') THEN
        CREATE SCHEMA candlecast AUTHORIZATION candlecast_owner;
    END IF;
END
$$;
