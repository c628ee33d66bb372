-- gateway_chart_bars: the bars before a forecast's issue time and those after it.
--
-- One row     one side: `before` false or true, arrays over its bars, oldest first; no row for a side without bars
-- Parameters  symbol text, interval text, issued_at timestamptz, until timestamptz: the last target; n_before integer;
--             known_by timestamptz: the bars before with the values that were known then, NULL for those of today;
--             seen_only boolean: of them only those that had arrived by then
-- Read by     gateway.content.chart
-- Index       ohlcv_1h_symbol_closed_at_idx or ohlcv_1d_symbol_closed_at_idx; ohlcv_revisions_pkey, one probe a bar
--
-- Of a bar that was corrected later, the values before the first correction after that moment are those known then, as
-- in bars_lookbacks. The branch of the other interval is not run.

WITH bar AS (
    (
        SELECT hourly.ts, hourly.closed_at, hourly.open, hourly.high, hourly.low, hourly.close, hourly.volume, true AS before
        FROM candlecast.ohlcv_1h AS hourly
        WHERE CAST(:interval AS text) = '1h'
          AND hourly.symbol = :symbol
          AND hourly.closed_at <= :issued_at
          AND (NOT CAST(:seen_only AS boolean) OR hourly.first_seen <= CAST(:known_by AS timestamptz))
        ORDER BY hourly.closed_at DESC
        LIMIT CAST(:n_before AS integer)
    )
    UNION ALL
    (
        SELECT daily.ts, daily.closed_at, daily.open, daily.high, daily.low, daily.close, daily.volume, true
        FROM candlecast.ohlcv_1d AS daily
        WHERE CAST(:interval AS text) = '1d'
          AND daily.symbol = :symbol
          AND daily.closed_at <= :issued_at
          AND (NOT CAST(:seen_only AS boolean) OR daily.first_seen <= CAST(:known_by AS timestamptz))
        ORDER BY daily.closed_at DESC
        LIMIT CAST(:n_before AS integer)
    )
    UNION ALL
    SELECT hourly.ts, hourly.closed_at, hourly.open, hourly.high, hourly.low, hourly.close, hourly.volume, false
    FROM candlecast.ohlcv_1h AS hourly
    WHERE CAST(:interval AS text) = '1h'
      AND hourly.symbol = :symbol
      AND hourly.closed_at > :issued_at
      AND hourly.closed_at <= :until
    UNION ALL
    SELECT daily.ts, daily.closed_at, daily.open, daily.high, daily.low, daily.close, daily.volume, false
    FROM candlecast.ohlcv_1d AS daily
    WHERE CAST(:interval AS text) = '1d'
      AND daily.symbol = :symbol
      AND daily.closed_at > :issued_at
      AND daily.closed_at <= :until
)

SELECT
    bar.before,
    array_agg(bar.closed_at ORDER BY bar.closed_at) AS closed_at,
    array_agg(coalesce(earlier.old_open, bar.open) ORDER BY bar.closed_at) AS open,
    array_agg(coalesce(earlier.old_high, bar.high) ORDER BY bar.closed_at) AS high,
    array_agg(coalesce(earlier.old_low, bar.low) ORDER BY bar.closed_at) AS low,
    array_agg(coalesce(earlier.old_close, bar.close) ORDER BY bar.closed_at) AS close,
    array_agg(coalesce(earlier.old_volume, bar.volume) ORDER BY bar.closed_at) AS volume
FROM bar
LEFT JOIN LATERAL (
    SELECT revision.*
    FROM candlecast.ohlcv_revisions AS revision
    WHERE bar.before
      AND revision.symbol = :symbol
      AND revision.interval = :interval
      AND revision.ts = bar.ts
      AND revision.revised_at > CAST(:known_by AS timestamptz)
    ORDER BY revision.revised_at
    LIMIT 1
) AS earlier ON true
GROUP BY bar.before;
