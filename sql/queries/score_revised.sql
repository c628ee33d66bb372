-- score_revised: scored pairs whose target bar was corrected to another close since.
--
-- One row     arrays over the pairs: what their newest revision says, the outcome as it is known now, and what was
--             forecast, read from the sealed rows
-- Parameters  interval text, since, as_of timestamptz (corrections after the one, up to the other), steps int[], n int
-- Read by     candlecast.store.score_revisions
-- Index       prediction_scores_series_idx: (symbol, interval, step, target_at)

WITH bars AS (
    SELECT bar.symbol, bar.closed_at, coalesce(later.old_close, bar.close) AS close
    FROM (
        SELECT DISTINCT revision.symbol, revision.ts
        FROM candlecast.ohlcv_revisions AS revision
        WHERE revision.interval = CAST(:interval AS text)
          AND revision.revised_at > CAST(:since AS timestamptz)
          AND revision.revised_at <= CAST(:as_of AS timestamptz)
    ) AS revised
    INNER JOIN (
        SELECT '1h' AS interval, symbol, ts, closed_at, close FROM candlecast.ohlcv_1h
        UNION ALL
        SELECT '1d', symbol, ts, closed_at, close FROM candlecast.ohlcv_1d
    ) AS bar ON bar.interval = CAST(:interval AS text) AND bar.symbol = revised.symbol AND bar.ts = revised.ts
    LEFT JOIN LATERAL (
        SELECT revision.old_close
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
    SELECT DISTINCT ON (score.prediction_id, score.step) score.*, bars.close AS new_outcome
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
    SELECT *
    FROM newest
    WHERE outcome <> new_outcome
    ORDER BY symbol, target_at, prediction_id, step
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
    array_agg(changed.new_outcome) AS outcome,
    array_agg(sealed.last_close) AS last_close,
    array_agg(sealed.scale) AS scale,
    array_agg(sealed.p10[changed.step]) AS p10,
    array_agg(sealed.p50[changed.step]) AS p50,
    array_agg(sealed.p90[changed.step]) AS p90,
    array_agg(sealed.fan[(changed.step - 1) * 11 + 1 : changed.step * 11]) AS fan
FROM changed
INNER JOIN candlecast.ml_predictions AS sealed USING (prediction_id);
