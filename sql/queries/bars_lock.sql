-- bars_lock: let one import at a time write the bars of a symbol, and tell what the database's clock says then.
--
-- One row     a symbol that is known; the lock ends with the transaction and disturbs neither readers nor forecasts
-- Parameters  symbols text[]
-- Read by     candlecast.store.bars

SELECT
    symbol,
    clock_timestamp() AS locked_at
FROM candlecast.instruments
WHERE symbol = ANY(CAST(:symbols AS text []))
ORDER BY symbol
FOR NO KEY UPDATE;
