-- score_bars: the closes that portfolios were held over, with the two before the first, as they are known now.
--
-- One row     arrays over the bars, by `series` (the place of the symbol in the given arrays) and time
-- Parameters  interval text; arrays of equal length, one element per symbol: symbol text[], first_at, until timestamptz[]
--             (the end excluded)
-- Read by     candlecast.store.score_sums
-- Index       ohlcv_1h_symbol_closed_at_idx, ohlcv_1d_symbol_closed_at_idx
--
-- The return of the first bar needs the close before it; what was traded at that close, the bar before as well.

WITH bars AS NOT MATERIALIZED (
    SELECT '1h' AS interval, symbol, closed_at, close FROM candlecast.ohlcv_1h
    UNION ALL
    SELECT '1d', symbol, closed_at, close FROM candlecast.ohlcv_1d
)

SELECT
    array_agg(place::integer) AS series,
    array_agg(closed_at) AS closed_at,
    array_agg(close) AS close
FROM (
    SELECT asked.place, bar.closed_at, bar.close
    FROM unnest(CAST(:symbol AS text[]), CAST(:first_at AS timestamptz[]), CAST(:until AS timestamptz[]))
        WITH ORDINALITY AS asked (symbol, first_at, until, place)
    CROSS JOIN LATERAL (
        SELECT min(last_two.closed_at) AS closed_at
        FROM (
            SELECT earlier.closed_at
            FROM bars AS earlier
            WHERE earlier.interval = CAST(:interval AS text)
              AND earlier.symbol = asked.symbol
              AND earlier.closed_at < asked.first_at
            ORDER BY earlier.closed_at DESC
            LIMIT 2
        ) AS last_two
    ) AS before
    CROSS JOIN LATERAL (
        SELECT bars.closed_at, bars.close
        FROM bars
        WHERE bars.interval = CAST(:interval AS text)
          AND bars.symbol = asked.symbol
          AND bars.closed_at >= coalesce(before.closed_at, asked.first_at)
          AND bars.closed_at < asked.until
        OFFSET 0 -- one range of the index a symbol, instead of all its bars
    ) AS bar
    ORDER BY asked.place, bar.closed_at
) AS ordered;
