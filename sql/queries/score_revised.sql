-- score_revised: scored pairs whose target bar was corrected to another close since.
--
-- One row     arrays over the pairs: what their newest revision says, the outcome as it is known now, and what was
--             forecast, read from the sealed rows
-- Parameters  interval text, since, as_of timestamptz (corrections after the one, up to the other), steps int[], n int
-- Read by     candlecast.store.score_revisions
-- Index       prediction_scores_series_idx: (symbol, interval, step, target_at)
--
-- A correction by which the bar may not judge the forecast any more, as one from another feed, changes nothing: the
-- score stays as it was. A score of version 1 says nothing of what was served, which then was the fan as it came.

WITH bars AS (
    SELECT bar.symbol, bar.closed_at, coalesce(later.old_close, bar.close) AS close, bar.state,
        coalesce(later.old_source, bar.source) AS source
    FROM (
        SELECT DISTINCT revision.symbol, revision.ts
        FROM candlecast.ohlcv_revisions AS revision
        WHERE revision.interval = CAST(:interval AS text)
          AND revision.revised_at > CAST(:since AS timestamptz)
          AND revision.revised_at <= CAST(:as_of AS timestamptz)
    ) AS revised
    INNER JOIN (
        SELECT '1h' AS interval, symbol, ts, closed_at, close, state, source FROM candlecast.ohlcv_1h
        UNION ALL
        SELECT '1d', symbol, ts, closed_at, close, state, source FROM candlecast.ohlcv_1d
    ) AS bar ON bar.interval = CAST(:interval AS text) AND bar.symbol = revised.symbol AND bar.ts = revised.ts
    LEFT JOIN LATERAL (
        SELECT revision.old_close, revision.old_source
        FROM candlecast.ohlcv_revisions AS revision
        WHERE revision.symbol = bar.symbol
          AND revision.interval = CAST(:interval AS text)
          AND revision.ts = bar.ts
          AND revision.revised_at > CAST(:as_of AS timestamptz)
        ORDER BY revision.revised_at
        LIMIT 1
    ) AS later ON true
),

newest AS (
    SELECT DISTINCT ON (score.prediction_id, score.step) score.*, bars.close AS new_outcome, bars.state, bars.source
    FROM bars
    CROSS JOIN unnest(CAST(:steps AS integer[])) AS asked (step)
    INNER JOIN candlecast.prediction_scores AS score
        ON score.symbol = bars.symbol
        AND score.interval = CAST(:interval AS text)
        AND score.step = asked.step
        AND score.target_at = bars.closed_at
    ORDER BY score.prediction_id, score.step, score.revision DESC
),

changed AS (
    SELECT
        newest.*, sealed.last_close, sealed.scale, sealed.calibration,
        sealed.p10[newest.step] AS p10, sealed.p50[newest.step] AS p50, sealed.p90[newest.step] AS p90,
        sealed.fan[(newest.step - 1) * 11 + 1 : newest.step * 11] AS fan
    FROM newest
    INNER JOIN candlecast.ml_predictions AS sealed USING (prediction_id)
    WHERE newest.outcome <> newest.new_outcome
      AND candlecast.void_reason(newest.state, newest.source, sealed.feed) IS NULL
    ORDER BY newest.symbol, newest.target_at, newest.prediction_id, newest.step
    LIMIT :n
)

SELECT
    array_agg(changed.prediction_id) AS prediction_id,
    array_agg(changed.step) AS step,
    array_agg(changed.revision) AS revision,
    array_agg(changed.symbol) AS symbol,
    array_agg(changed.model_name) AS model_name,
    array_agg(changed.record) AS record,
    array_agg(changed.issued_at) AS issued_at,
    array_agg(changed.target_at) AS target_at,
    array_agg(changed.log_return) AS log_return,
    array_agg(changed.signal) AS signal,
    array_agg(changed.move) AS move,
    array_agg(coalesce(changed.hit::integer, -1)::smallint) AS hit,
    array_agg(changed.inside) AS inside,
    array_agg(changed.below) AS below,
    array_agg(changed.above) AS above,
    array_agg(changed.pinballs) AS pinballs,
    array_agg(changed.interval_score) AS interval_score,
    array_agg(changed.width) AS width,
    array_agg(changed.abs_error) AS abs_error,
    array_agg(coalesce(changed.crps, 'NaN')) AS crps,
    array_agg(coalesce(changed.z, 'NaN')) AS z,
    array_agg(coalesce(changed.calibrated_pinballs, changed.pinballs)) AS calibrated_pinballs,
    array_agg(coalesce(changed.raw_inside, changed.inside)) AS raw_inside,
    array_agg(coalesce(changed.raw_below, changed.below)) AS raw_below,
    array_agg(coalesce(changed.raw_above, changed.above)) AS raw_above,
    array_agg(coalesce(changed.raw_interval_score, changed.interval_score)) AS raw_interval_score,
    array_agg(coalesce(changed.raw_width, changed.width)) AS raw_width,
    array_agg(coalesce(changed.calibrated_crps, changed.crps, 'NaN')) AS calibrated_crps,
    array_agg(coalesce(changed.pit, 'NaN')) AS pit,
    array_agg(coalesce(changed.calibrated_pit, 'NaN')) AS calibrated_pit,
    array_agg(coalesce(changed.p_up, 'NaN')) AS p_up,
    array_agg(coalesce(changed.calibrated_p_up, 'NaN')) AS calibrated_p_up,
    array_agg(coalesce(changed.brier, 'NaN')) AS brier,
    array_agg(coalesce(changed.calibrated_brier, 'NaN')) AS calibrated_brier,
    array_agg(changed.new_outcome) AS outcome,
    array_agg(changed.last_close) AS last_close,
    array_agg(changed.scale) AS scale,
    array_agg(changed.p10) AS p10,
    array_agg(changed.p50) AS p50,
    array_agg(changed.p90) AS p90,
    array_agg(changed.fan) AS fan,
    array_agg(changed.calibration::text) AS calibration
FROM changed;
