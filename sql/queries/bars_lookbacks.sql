-- bars_lookbacks: the newest bars of every symbol as they were known at a moment.
--
-- One row     arrays over all bars, symbol after symbol in the order asked for, oldest first; NULL where there is none.
--             `feed` is over the symbols that have bars: the source of the newest one
-- Parameters  symbols text[], interval text, as_of timestamptz, n_bars integer
-- Read by     candlecast.store.bars, for 1d with the table's name exchanged
-- Index       ohlcv_1h_symbol_closed_at_idx, one descent a symbol; ohlcv_revisions_pkey, one probe a bar
--
-- A bar is known when it had closed, had settled, and had arrived. Of a bar that was corrected later, the values before
-- the first correction after that moment are the ones that were known.

SELECT
    array_agg(known.place) AS place,
    array_agg(known.ts) AS opened_at,
    array_agg(known.closed_at) AS closed_at,
    array_agg(known.open) AS open,
    array_agg(known.high) AS high,
    array_agg(known.low) AS low,
    array_agg(known.close) AS close,
    array_agg(known.volume) AS volume,
    array_agg(known.source = 'synthetic') AS synthetic,
    array_agg(known.source) FILTER (WHERE known.ts = known.last_ts) AS feed
FROM (
    SELECT
        CAST(asked.place AS integer) AS place,
        bar.ts,
        bar.closed_at,
        coalesce(before.old_open, bar.open) AS open,
        coalesce(before.old_high, bar.high) AS high,
        coalesce(before.old_low, bar.low) AS low,
        coalesce(before.old_close, bar.close) AS close,
        coalesce(before.old_volume, bar.volume) AS volume,
        coalesce(before.old_source, bar.source) AS source,
        last.ts AS last_ts
    FROM unnest(CAST(:symbols AS text [])) WITH ORDINALITY AS asked (symbol, place)
    INNER JOIN candlecast.instruments AS instrument ON instrument.symbol = asked.symbol
    -- One more probe a symbol; to number the bars would cost something on every bar.
    CROSS JOIN LATERAL (
        SELECT newest.ts
        FROM candlecast.ohlcv_1h AS newest
        WHERE newest.symbol = asked.symbol
          AND newest.closed_at <= CAST(:as_of AS timestamptz) - make_interval(secs => instrument.settle_s)
          AND newest.first_seen <= CAST(:as_of AS timestamptz)
        ORDER BY newest.closed_at DESC
        LIMIT 1
    ) AS last
    CROSS JOIN LATERAL (
        SELECT newest.ts, newest.closed_at, newest.open, newest.high, newest.low, newest.close, newest.volume,
            newest.source
        FROM candlecast.ohlcv_1h AS newest
        WHERE newest.symbol = asked.symbol
          AND newest.closed_at <= CAST(:as_of AS timestamptz) - make_interval(secs => instrument.settle_s)
          AND newest.first_seen <= CAST(:as_of AS timestamptz)
        ORDER BY newest.closed_at DESC
        LIMIT CAST(:n_bars AS integer)
    ) AS bar
    LEFT JOIN LATERAL (
        SELECT *
        FROM candlecast.ohlcv_revisions AS revision
        WHERE revision.symbol = asked.symbol
          AND revision.interval = :interval
          AND revision.ts = bar.ts
          AND revision.revised_at > CAST(:as_of AS timestamptz)
        ORDER BY revision.revised_at
        LIMIT 1
    ) AS before ON TRUE
    ORDER BY asked.place, bar.ts
) AS known;
