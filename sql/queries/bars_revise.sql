-- bars_revise: put corrections in place of what was stored, and keep what was stored in ohlcv_revisions.
--
-- Rows        those corrected
-- Parameters  interval text, source text
-- Read by     candlecast.store.bars, for 1d with the table's name exchanged
--
-- first_seen stays: the bar was known then, with its old values. A read as of an earlier moment finds those by revised_at.

WITH corrected AS (
    SELECT
        bar.symbol, bar.ts,
        bar.open AS old_open, bar.high AS old_high, bar.low AS old_low, bar.close AS old_close,
        bar.volume AS old_volume, bar.source AS old_source,
        incoming.open, incoming.high, incoming.low, incoming.close, incoming.volume, incoming.state, incoming.closed_at
    FROM pg_temp.incoming_bars AS incoming
    INNER JOIN candlecast.ohlcv_1h AS bar ON bar.symbol = incoming.symbol AND bar.ts = incoming.ts
),

kept AS (
    INSERT INTO candlecast.ohlcv_revisions (
        symbol, interval, ts, revised_at, old_open, old_high, old_low, old_close, old_volume, old_source, source
    )
    SELECT
        symbol, :interval, ts, clock_timestamp(), old_open, old_high, old_low, old_close, old_volume, old_source,
        :source
    FROM corrected
)

UPDATE candlecast.ohlcv_1h AS bar
SET
    open = corrected.open,
    high = corrected.high,
    low = corrected.low,
    close = corrected.close,
    volume = corrected.volume,
    state = corrected.state,
    closed_at = corrected.closed_at,
    source = :source
FROM corrected
WHERE bar.symbol = corrected.symbol AND bar.ts = corrected.ts;
