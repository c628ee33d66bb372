-- report_pits: how many outcomes fell into each twentieth of the forecast distribution, day by day.
--
-- One row     arrays over (interval, record, model_name, asset_class, step, day, bin), by day; NULL where there is nothing
-- Parameters  as_of timestamptz
-- Read by     candlecast.store.reports
--
-- bin counts from 0 to 19. n counts the PIT of what was served, n_raw that of what the model gave. Which pairs count is
-- told in report_days.

WITH known AS (
    SELECT DISTINCT ON (score.prediction_id, score.step)
        score.interval, score.record, score.model_name, instruments.asset_class, score.step, score.target_at, score.pit,
        score.calibrated_pit
    FROM candlecast.prediction_scores AS score
    INNER JOIN candlecast.instruments ON instruments.symbol = score.symbol
    WHERE score.target_at < date_trunc('day', CAST(:as_of AS timestamptz), 'UTC')
      AND (score.revision = 0 OR score.scored_at <= CAST(:as_of AS timestamptz))
      AND score.pit IS NOT NULL
    ORDER BY score.prediction_id, score.step, score.revision DESC
),

binned AS (
    SELECT
        interval, record, model_name, asset_class, step, (target_at AT TIME ZONE 'UTC')::date AS day,
        least(floor(coalesce(calibrated_pit, pit) * 20), 19)::integer AS bin, 1 AS n, 0 AS n_raw
    FROM known
    UNION ALL
    SELECT
        interval, record, model_name, asset_class, step, (target_at AT TIME ZONE 'UTC')::date,
        least(floor(pit * 20), 19)::integer, 0, 1
    FROM known
)

SELECT
    array_agg(interval) AS interval,
    array_agg(record) AS record,
    array_agg(model_name) AS model_name,
    array_agg(asset_class) AS asset_class,
    array_agg(step) AS step,
    array_agg(day) AS day,
    array_agg(bin) AS bin,
    array_agg(n) AS n,
    array_agg(n_raw) AS n_raw
FROM (
    SELECT
        interval, record, model_name, asset_class, step, day, bin, sum(n)::bigint AS n, sum(n_raw)::bigint AS n_raw
    FROM binned
    GROUP BY interval, record, model_name, asset_class, step, day, bin
    ORDER BY day, bin
) AS sums;
