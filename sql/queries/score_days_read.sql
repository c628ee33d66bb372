-- score_days_read: what days hold now of the sums that are made from whole days.
--
-- One row     arrays over the days; `series` is the place of theirs in the given arrays
-- Parameters  interval text; arrays of equal length, one element per series: symbol, record text[], step int[], first_day,
--             last_day date[]
-- Read by     candlecast.store.score_sums

SELECT
    array_agg(series.place::integer) AS series,
    array_agg(days.model_name) AS model_name,
    array_agg(days.day) AS day,
    array_agg(days.n_bars) AS n_bars,
    array_agg(days.bar_return) AS bar_return,
    array_agg(days.bar_square) AS bar_square,
    array_agg(days.turnover) AS turnover,
    array_agg(days.n_common) AS n_common,
    array_agg(days.common_pinball) AS common_pinball,
    array_agg(days.common_calibrated_pinball) AS common_calibrated_pinball,
    array_agg(days.baseline_pinball) AS baseline_pinball,
    array_agg(days.pinball_gap_square) AS pinball_gap_square,
    array_agg(days.common_interval_score) AS common_interval_score,
    array_agg(days.baseline_interval_score) AS baseline_interval_score,
    array_agg(days.n_common_crps) AS n_common_crps,
    array_agg(days.common_crps) AS common_crps,
    array_agg(days.common_calibrated_crps) AS common_calibrated_crps,
    array_agg(days.baseline_crps) AS baseline_crps
FROM unnest(
    CAST(:symbol AS text[]), CAST(:record AS text[]), CAST(:step AS integer[]),
    CAST(:first_day AS date[]), CAST(:last_day AS date[])
) WITH ORDINALITY AS series (symbol, record, step, first_day, last_day, place)
CROSS JOIN LATERAL (
    SELECT *
    FROM candlecast.score_days AS stored
    WHERE stored.symbol = series.symbol
      AND stored.interval = CAST(:interval AS text)
      AND stored.record = series.record
      AND stored.step = series.step
      AND stored.day BETWEEN series.first_day AND series.last_day
    OFFSET 0 -- one range of the key a series
) AS days;
