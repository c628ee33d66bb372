-- bars_newest: the newest bar of each instrument that has any.
--
-- One row     an instrument, with its newest bar and whether that one was generated
-- Read by     candlecast.store.bars, for 1d with the table's name exchanged
-- Index       ohlcv_1h_symbol_closed_at_idx, one probe an instrument

SELECT instrument.symbol, newest.ts AS opened_at, newest.closed_at, newest.source = 'synthetic' AS synthetic
FROM candlecast.instruments AS instrument
CROSS JOIN LATERAL (
    SELECT bar.ts, bar.closed_at, bar.source
    FROM candlecast.ohlcv_1h AS bar
    WHERE bar.symbol = instrument.symbol
    ORDER BY bar.closed_at DESC
    LIMIT 1
) AS newest
ORDER BY instrument.symbol;
