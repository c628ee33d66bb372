-- bars_stage: where COPY puts new and corrected bars; COPY cannot write to a table with row security.
--
-- Read by     candlecast.store.bars

CREATE TEMPORARY TABLE IF NOT EXISTS incoming_bars (
    symbol text,
    ts timestamptz,
    closed_at timestamptz,
    open double precision,
    high double precision,
    low double precision,
    close double precision,
    volume double precision,
    state text
) ON COMMIT DROP;
