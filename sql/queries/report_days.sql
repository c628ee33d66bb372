-- report_days: what was judged on each day, as it was known at a moment, and beside it the same of a baseline.
--
-- One row     arrays over (interval, record, model_name, asset_class, step, day), by day; NULL where there is nothing
-- Parameters  as_of timestamptz; baseline text: common rows are those that this model was scored on too
-- Read by     candlecast.store.reports
--
-- A pair counts on the day its target closed, once that day was over at as_of and the venue had settled. Of a pair that
-- was judged again after a correction, the judgement of that moment is told; a score that was made later than as_of
-- from bars of that time (a replay, a late run) counts as if it had been made then. Losses are in sigmas of a bar.

WITH known AS (
    SELECT DISTINCT ON (score.prediction_id, score.step) score.*
    FROM candlecast.prediction_scores AS score
    WHERE score.target_at < date_trunc('day', CAST(:as_of AS timestamptz), 'UTC')
      AND (score.revision = 0 OR score.scored_at <= CAST(:as_of AS timestamptz))
    ORDER BY score.prediction_id, score.step, score.revision DESC
),

paired AS (
    SELECT
        model.*,
        instruments.asset_class,
        (model.target_at AT TIME ZONE 'UTC')::date AS day,
        base.prediction_id IS NOT NULL AS is_common,
        base.interval_score AS base_interval_score,
        base.crps AS base_crps,
        base.pinball AS base_pinball,
        base.abs_error AS base_abs_error
    FROM known AS model
    INNER JOIN candlecast.instruments ON instruments.symbol = model.symbol
    LEFT JOIN known AS base
        ON base.model_name = CAST(:baseline AS text)
        AND base.symbol = model.symbol
        AND base.interval = model.interval
        AND base.step = model.step
        AND base.issued_at = model.issued_at
        AND base.record = model.record
        AND base.target_at = model.target_at
)

SELECT
    array_agg(interval) AS interval,
    array_agg(record) AS record,
    array_agg(model_name) AS model_name,
    array_agg(asset_class) AS asset_class,
    array_agg(step) AS step,
    array_agg(day) AS day,
    array_agg(n) AS n,
    array_agg(n_inside) AS n_inside,
    array_agg(n_below) AS n_below,
    array_agg(n_above) AS n_above,
    array_agg(n_raw_inside) AS n_raw_inside,
    array_agg(n_raw_below) AS n_raw_below,
    array_agg(n_raw_above) AS n_raw_above,
    array_agg(width) AS width,
    array_agg(interval_score) AS interval_score,
    array_agg(raw_interval_score) AS raw_interval_score,
    array_agg(abs_error) AS abs_error,
    array_agg(n_brier) AS n_brier,
    array_agg(brier) AS brier,
    array_agg(n_moves) AS n_moves,
    array_agg(n_hits) AS n_hits,
    array_agg(n_ups) AS n_ups,
    array_agg(n_signals_up) AS n_signals_up,
    array_agg(n_common) AS n_common,
    array_agg(common_interval_score) AS common_interval_score,
    array_agg(base_interval_score) AS base_interval_score,
    array_agg(common_pinball) AS common_pinball,
    array_agg(base_pinball) AS base_pinball,
    array_agg(common_abs_error) AS common_abs_error,
    array_agg(base_abs_error) AS base_abs_error,
    array_agg(n_common_crps) AS n_common_crps,
    array_agg(common_crps) AS common_crps,
    array_agg(common_calibrated_crps) AS common_calibrated_crps,
    array_agg(base_crps) AS base_crps
FROM (
    SELECT
        interval, record, model_name, asset_class, step, day,
        count(*) AS n,
        count(*) FILTER (WHERE inside) AS n_inside,
        count(*) FILTER (WHERE below) AS n_below,
        count(*) FILTER (WHERE above) AS n_above,
        count(*) FILTER (WHERE coalesce(raw_inside, inside)) AS n_raw_inside,
        count(*) FILTER (WHERE coalesce(raw_below, below)) AS n_raw_below,
        count(*) FILTER (WHERE coalesce(raw_above, above)) AS n_raw_above,
        sum(width) AS width,
        sum(interval_score) AS interval_score,
        sum(coalesce(raw_interval_score, interval_score)) AS raw_interval_score,
        sum(abs_error) AS abs_error,
        count(calibrated_brier) AS n_brier,
        coalesce(sum(calibrated_brier), 0) AS brier,
        count(hit) AS n_moves,
        count(*) FILTER (WHERE hit) AS n_hits,
        count(*) FILTER (WHERE hit IS NOT NULL AND move > 0) AS n_ups,
        count(*) FILTER (WHERE hit IS NOT NULL AND signal > 0) AS n_signals_up,
        count(*) FILTER (WHERE is_common) AS n_common,
        coalesce(sum(interval_score) FILTER (WHERE is_common), 0) AS common_interval_score,
        coalesce(sum(base_interval_score), 0) AS base_interval_score,
        coalesce(sum(pinball) FILTER (WHERE is_common), 0) AS common_pinball,
        coalesce(sum(base_pinball), 0) AS base_pinball,
        coalesce(sum(abs_error) FILTER (WHERE is_common), 0) AS common_abs_error,
        coalesce(sum(base_abs_error), 0) AS base_abs_error,
        count(*) FILTER (WHERE crps IS NOT NULL AND base_crps IS NOT NULL) AS n_common_crps,
        coalesce(sum(crps) FILTER (WHERE base_crps IS NOT NULL), 0) AS common_crps,
        coalesce(sum(coalesce(calibrated_crps, crps)) FILTER (WHERE base_crps IS NOT NULL), 0)
            AS common_calibrated_crps,
        coalesce(sum(base_crps) FILTER (WHERE crps IS NOT NULL), 0) AS base_crps
    FROM paired
    GROUP BY interval, record, model_name, asset_class, step, day
    ORDER BY day, interval, record, model_name, asset_class, step
) AS sums;
