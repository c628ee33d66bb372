-- create_roles: the three roles without a login, where they are missing.
--
-- Needs CREATEROLE only for those that are missing. Two migrations of two databases of one server may
-- run this at the same time, so losing that race is no error.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['candlecast_owner', 'candlecast_writer', 'candlecast_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;
