-- move_ledger_heads: after an insert, point each chain's head at its newest row. Runs once per statement.

CREATE FUNCTION candlecast.move_ledger_heads()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE candlecast.ledger_heads AS head
    SET chain_seq = newest.chain_seq, row_hash = newest.row_hash, updated_at = clock_timestamp()
    FROM (
        SELECT DISTINCT ON (model_name, interval) model_name, interval, chain_seq, row_hash
        FROM inserted
        ORDER BY model_name, interval, chain_seq DESC
    ) AS newest
    WHERE head.model_name = newest.model_name AND head.interval = newest.interval;
    RETURN NULL;
END
$$;
