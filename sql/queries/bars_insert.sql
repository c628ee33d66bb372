-- bars_insert: store the staged bars, which are not there yet.
--
-- Parameters  source text, seen_at timestamptz (NULL: a bar counts as seen when it closed)
-- Read by     candlecast.store.bars, for 1d with the table's name exchanged

INSERT INTO candlecast.ohlcv_1h (symbol, ts, closed_at, open, high, low, close, volume, state, source, first_seen)
SELECT
    symbol, ts, closed_at, open, high, low, close, volume, state, :source,
    coalesce(CAST(:seen_at AS timestamptz), closed_at)
FROM pg_temp.incoming_bars;
