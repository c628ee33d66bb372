-- gateway_verdicts: each model's CRPS beside the baseline's, over everything that both were scored on.
--
-- One row     one (model_name, interval, record) that was scored; losses and days are NULL without common pairs
-- Parameters  none
-- Read by     gateway.verdicts
--
-- losses, baseline_losses: sums over the common pairs of a block of days, in sigmas over the step's own span (those of
-- a bar times the root of the step), so that no step drowns the others. One element per block that has pairs. Blocks
-- are of equal length, at most 20, each as long as the longest step takes on the slowest venue (35 hourly or 5 daily
-- bars a week): outcomes of forecasts that overlap, and of instruments that move together, share a block.
--
-- The steps of one forecast share their bars, so n_eff is the mean over the steps, not their sum; see the view for
-- the 0.46. n_forecasts counts each forecast once. Reads the days once: grows with the record.

WITH series AS (
    SELECT
        totals.model_name, totals.interval, totals.record, totals.symbol,
        sum(totals.n_common) AS n_common,
        max(totals.n_common_crps) AS n_forecasts
    FROM candlecast.score_totals AS totals
    WHERE totals.model_name <> 'baseline-rw'
    GROUP BY totals.model_name, totals.interval, totals.record, totals.symbol
    HAVING sum(totals.n) > 0
),

models AS (
    SELECT
        series.model_name, series.interval, series.record,
        sum(series.n_common)::bigint AS n_common,
        sum(series.n_forecasts)::bigint AS n_forecasts,
        count(*) FILTER (WHERE series.n_forecasts > 0) AS n_symbols
    FROM series
    GROUP BY series.model_name, series.interval, series.record
),

steps AS (
    SELECT totals.model_name, totals.interval, totals.record, totals.step, sum(totals.n_common_crps) AS n_pairs
    FROM candlecast.score_totals AS totals
    WHERE totals.n_common_crps > 0
    GROUP BY totals.model_name, totals.interval, totals.record, totals.step
),

outcomes AS (
    SELECT
        steps.model_name, steps.interval, steps.record,
        sum(steps.n_pairs)::bigint AS n_pairs,
        avg(steps.n_pairs / greatest(1.0, 0.46 * steps.step))::double precision AS n_eff,
        ceil(max(steps.step) * CASE steps.interval WHEN '1h' THEN 7 / 35.0 ELSE 7 / 5.0 END)::integer AS span_days
    FROM steps
    GROUP BY steps.model_name, steps.interval, steps.record
),

days AS (
    SELECT
        score_days.model_name, score_days.interval, score_days.record, score_days.day,
        sum(score_days.common_crps / sqrt(score_days.step)) AS loss,
        sum(score_days.baseline_crps / sqrt(score_days.step)) AS baseline_loss
    FROM candlecast.score_days
    WHERE score_days.n_common_crps > 0
    GROUP BY score_days.model_name, score_days.interval, score_days.record, score_days.day
),

periods AS (
    SELECT
        days.model_name, days.interval, days.record,
        min(days.day) AS first_day,
        max(days.day) AS last_day,
        max(days.day) - min(days.day) + 1 AS n_days
    FROM days
    GROUP BY days.model_name, days.interval, days.record
),

blocks AS (
    SELECT
        days.model_name, days.interval, days.record,
        (days.day - periods.first_day) * least(20, greatest(1, periods.n_days / outcomes.span_days)) / periods.n_days
            AS block,
        sum(days.loss) AS loss,
        sum(days.baseline_loss) AS baseline_loss
    FROM days
    INNER JOIN periods USING (model_name, interval, record)
    INNER JOIN outcomes USING (model_name, interval, record)
    GROUP BY days.model_name, days.interval, days.record, block
),

sums AS (
    SELECT
        blocks.model_name, blocks.interval, blocks.record,
        array_agg(blocks.loss ORDER BY blocks.block) AS losses,
        array_agg(blocks.baseline_loss ORDER BY blocks.block) AS baseline_losses
    FROM blocks
    GROUP BY blocks.model_name, blocks.interval, blocks.record
)

SELECT
    model_name, interval, record,
    models.n_common,
    models.n_forecasts,
    models.n_symbols,
    coalesce(outcomes.n_pairs, 0) AS n_pairs,
    coalesce(outcomes.n_eff, 0.0) AS n_eff,
    periods.first_day,
    periods.last_day,
    sums.losses,
    sums.baseline_losses
FROM models
LEFT JOIN outcomes USING (model_name, interval, record)
LEFT JOIN periods USING (model_name, interval, record)
LEFT JOIN sums USING (model_name, interval, record)
ORDER BY
    model_name,
    interval = '1d',
    array_position(ARRAY['live', 'late', 'replay', 'synthetic'], record);
