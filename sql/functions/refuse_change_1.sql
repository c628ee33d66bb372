-- refuse_change: what an append-only table answers to UPDATE, DELETE and TRUNCATE.

CREATE FUNCTION candlecast.refuse_change()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'candlecast.% is append-only: % is refused', tg_table_name, tg_op
        USING ERRCODE = 'restrict_violation',
              HINT = 'What was once recorded stays. Record the correction as a new row.';
END
$$;
