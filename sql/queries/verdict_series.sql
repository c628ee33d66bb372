-- verdict_series: how many forecasts of how many instruments stand behind a verdict.
--
-- One row     one (interval, model_name, record, asset_class, step); step 0 counts each forecast once, whatever its steps
-- Parameters  none
-- Read by     candlecast.store.verdicts

WITH series AS (
    SELECT
        totals.interval, totals.model_name, totals.record, instruments.asset_class, totals.step, totals.symbol,
        totals.n_common_crps AS n_forecasts
    FROM candlecast.score_totals AS totals
    INNER JOIN candlecast.instruments ON instruments.symbol = totals.symbol
    WHERE totals.model_name <> 'baseline-rw' AND totals.n_common_crps > 0

    UNION ALL

    SELECT
        totals.interval, totals.model_name, totals.record, instruments.asset_class, 0, totals.symbol,
        max(totals.n_common_crps)
    FROM candlecast.score_totals AS totals
    INNER JOIN candlecast.instruments ON instruments.symbol = totals.symbol
    WHERE totals.model_name <> 'baseline-rw' AND totals.n_common_crps > 0
    GROUP BY totals.interval, totals.model_name, totals.record, instruments.asset_class, totals.symbol
)

SELECT
    interval, model_name, record, coalesce(asset_class, 'all') AS asset_class, step,
    sum(n_forecasts)::bigint AS n_forecasts,
    count(DISTINCT symbol)::integer AS n_symbols
FROM series
GROUP BY GROUPING SETS (
    (interval, model_name, record, asset_class, step),
    (interval, model_name, record, step)
);
