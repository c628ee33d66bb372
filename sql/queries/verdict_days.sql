-- verdict_days: what each model and the baseline lost on their common pairs, day by day.
--
-- One row     arrays over (interval, model_name, record, asset_class, step, day), by day; NULL where there is nothing
-- Parameters  before date: days before it are told, so that a day is whole
-- Read by     candlecast.store.verdicts
--
-- loss, base: sums of fair CRPS in sigmas of one bar, of all instruments of the class. n_common counts pairs without
-- sample paths too, which have no CRPS; of those that have one there are n_pairs. band_loss, band_base: sums of the
-- interval score of the served band and of the baseline's, over all n_common.

SELECT
    array_agg(interval) AS interval,
    array_agg(model_name) AS model_name,
    array_agg(record) AS record,
    array_agg(asset_class) AS asset_class,
    array_agg(step) AS step,
    array_agg(day) AS day,
    array_agg(n_common) AS n_common,
    array_agg(n_pairs) AS n_pairs,
    array_agg(loss) AS loss,
    array_agg(base) AS base,
    array_agg(band_loss) AS band_loss,
    array_agg(band_base) AS band_base
FROM (
    SELECT
        days.interval, days.model_name, days.record, instruments.asset_class, days.step, days.day,
        sum(days.n_common)::bigint AS n_common,
        sum(days.n_common_crps)::bigint AS n_pairs,
        sum(days.common_crps) AS loss,
        sum(days.baseline_crps) AS base,
        sum(days.common_interval_score) AS band_loss,
        sum(days.baseline_interval_score) AS band_base
    FROM candlecast.score_days AS days
    INNER JOIN candlecast.instruments ON instruments.symbol = days.symbol
    WHERE days.model_name <> 'baseline-rw'
      AND days.day < CAST(:before AS date)
      AND (days.n > 0 OR days.n_common > 0)
    GROUP BY days.interval, days.model_name, days.record, instruments.asset_class, days.step, days.day
    ORDER BY days.day
) AS sums;
