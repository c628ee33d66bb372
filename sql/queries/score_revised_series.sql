-- score_revised_series: the series whose portfolios were held over a bar that was corrected since.
--
-- One row     arrays over the series, with the first and the last close that was corrected
-- Parameters  interval text, since, as_of timestamptz
-- Read by     candlecast.store.score_revisions

SELECT
    array_agg(symbol) AS symbol,
    array_agg(record) AS record,
    array_agg(step) AS step,
    array_agg(first_at) AS first_at,
    array_agg(last_at) AS last_at
FROM (
    SELECT total.symbol, total.record, total.step, min(bar.closed_at) AS first_at, max(bar.closed_at) AS last_at
    FROM candlecast.ohlcv_revisions AS revision
    INNER JOIN (
        SELECT '1h' AS interval, symbol, ts, closed_at FROM candlecast.ohlcv_1h
        UNION ALL
        SELECT '1d', symbol, ts, closed_at FROM candlecast.ohlcv_1d
    ) AS bar ON bar.interval = CAST(:interval AS text) AND bar.symbol = revision.symbol AND bar.ts = revision.ts
    INNER JOIN candlecast.score_totals AS total
        ON total.symbol = revision.symbol AND total.interval = CAST(:interval AS text)
    WHERE revision.interval = CAST(:interval AS text)
      AND revision.revised_at > CAST(:since AS timestamptz)
      AND revision.revised_at <= CAST(:as_of AS timestamptz)
    GROUP BY total.symbol, total.record, total.step
) AS series;
