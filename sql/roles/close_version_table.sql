-- close_version_table: alembic's own table gets the treatment of every other; everybody with a role may read it.

DO $$
BEGIN
    IF to_regclass('candlecast.alembic_version') IS NOT NULL
       AND to_regprocedure('candlecast.protect_table(text, text[])') IS NOT NULL THEN
        PERFORM candlecast.protect_table('alembic_version', '{}');
    END IF;
END
$$;
