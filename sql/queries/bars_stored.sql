-- bars_stored: what the store holds of some symbols, each over its own stretch of time, to compare an import with.
--
-- One row     arrays over all bars, symbol after symbol in the order asked for, oldest first; NULL where there is none
-- Parameters  symbols text[], firsts timestamptz[], lasts timestamptz[]
-- Read by     candlecast.store.bars, for 1d with the table's name exchanged
-- Index       ohlcv_1h_pkey, one range a symbol

SELECT
    array_agg(stored.place) AS place,
    array_agg(stored.ts) AS ts,
    array_agg(stored.open) AS open,
    array_agg(stored.high) AS high,
    array_agg(stored.low) AS low,
    array_agg(stored.close) AS close,
    array_agg(stored.volume) AS volume
FROM (
    SELECT CAST(asked.place AS integer) AS place, bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume
    FROM ROWS FROM (
        unnest(CAST(:symbols AS text [])),
        unnest(CAST(:firsts AS timestamptz [])),
        unnest(CAST(:lasts AS timestamptz []))
    ) WITH ORDINALITY AS asked (symbol, first, last, place)
    INNER JOIN candlecast.ohlcv_1h AS bar
        ON bar.symbol = asked.symbol AND bar.ts BETWEEN asked.first AND asked.last
    ORDER BY asked.place, bar.ts
) AS stored;
