-- score_check: stored scores of some forecasts of one chain, beside what they were made from.
--
-- One row     arrays over the scores, by place in the chain, step and revision: the stored columns (NaN for NULL; hit -1),
--             what the sealed row says at the step, whether the row repeats the sealed one (same_key), and whether the
--             bar had that close at some time (outcome_known); n_read forecasts were looked at, the last at last_seq
-- Parameters  model_name text, interval text, after_seq bigint, n int
-- Read by     candlecast.store.score_checks
-- Index       unique (model_name, interval, chain_seq); prediction_scores_pkey

WITH looked_at AS MATERIALIZED (
    SELECT *
    FROM candlecast.ml_predictions
    WHERE model_name = CAST(:model_name AS text)
      AND interval = CAST(:interval AS text)
      AND chain_seq > CAST(:after_seq AS bigint)
    ORDER BY chain_seq
    LIMIT :n
),

stored AS (
    SELECT
        sealed.chain_seq, sealed.last_close, sealed.scale, sealed.calibration, sealed.paths_hash IS NOT NULL AS had_paths,
        sealed.p10[score.step] AS p10, sealed.p50[score.step] AS p50, sealed.p90[score.step] AS p90,
        sealed.fan[(score.step - 1) * 11 + 1 : score.step * 11] AS fan,
        (score.symbol, score.interval, score.model_name, score.record, score.issued_at, score.target_at)
            IS NOT DISTINCT FROM (
                sealed.symbol, sealed.interval, sealed.model_name,
                candlecast.record_of(sealed.status, sealed.synthetic), sealed.issued_at, sealed.target_at[score.step]
            ) AS same_key,
        EXISTS (
            SELECT FROM (
                SELECT '1h' AS interval, symbol, ts, closed_at, close FROM candlecast.ohlcv_1h
                UNION ALL
                SELECT '1d', symbol, ts, closed_at, close FROM candlecast.ohlcv_1d
            ) AS bar
            WHERE bar.interval = CAST(:interval AS text)
              AND bar.symbol = sealed.symbol
              AND bar.closed_at = sealed.target_at[score.step]
              AND (
                  bar.close = score.outcome
                  OR EXISTS (
                      SELECT FROM candlecast.ohlcv_revisions AS revision
                      WHERE revision.symbol = bar.symbol
                        AND revision.interval = bar.interval
                        AND revision.ts = bar.ts
                        AND revision.old_close = score.outcome
                  )
              )
        ) AS outcome_known,
        score.*
    FROM looked_at AS sealed
    INNER JOIN candlecast.prediction_scores AS score ON score.prediction_id = sealed.prediction_id
    WHERE score.step BETWEEN 1 AND sealed.horizon
)

SELECT found.*, n_read, last_seq
FROM (
    SELECT
        array_agg(prediction_id ORDER BY chain_seq, step, revision) AS prediction_id,
        array_agg(step ORDER BY chain_seq, step, revision) AS step,
        array_agg(revision ORDER BY chain_seq, step, revision) AS revision,
        array_agg(score_version ORDER BY chain_seq, step, revision) AS score_version,
        array_agg(same_key ORDER BY chain_seq, step, revision) AS same_key,
        array_agg(outcome_known ORDER BY chain_seq, step, revision) AS outcome_known,
        array_agg(had_paths ORDER BY chain_seq, step, revision) AS had_paths,
        array_agg(last_close ORDER BY chain_seq, step, revision) AS last_close,
        array_agg(scale ORDER BY chain_seq, step, revision) AS scale,
        array_agg(p10 ORDER BY chain_seq, step, revision) AS p10,
        array_agg(p50 ORDER BY chain_seq, step, revision) AS p50,
        array_agg(p90 ORDER BY chain_seq, step, revision) AS p90,
        array_agg(fan ORDER BY chain_seq, step, revision) AS fan,
        array_agg(calibration::text ORDER BY chain_seq, step, revision) AS calibration,
        array_agg(outcome ORDER BY chain_seq, step, revision) AS outcome,
        array_agg(log_return ORDER BY chain_seq, step, revision) AS log_return,
        array_agg(coalesce(z, 'NaN') ORDER BY chain_seq, step, revision) AS z,
        array_agg(signal ORDER BY chain_seq, step, revision) AS signal,
        array_agg(move ORDER BY chain_seq, step, revision) AS move,
        array_agg(coalesce(hit::integer, -1)::smallint ORDER BY chain_seq, step, revision) AS hit,
        array_agg(inside ORDER BY chain_seq, step, revision) AS inside,
        array_agg(below ORDER BY chain_seq, step, revision) AS below,
        array_agg(above ORDER BY chain_seq, step, revision) AS above,
        array_agg(coalesce(raw_inside, inside) ORDER BY chain_seq, step, revision) AS raw_inside,
        array_agg(coalesce(raw_below, below) ORDER BY chain_seq, step, revision) AS raw_below,
        array_agg(coalesce(raw_above, above) ORDER BY chain_seq, step, revision) AS raw_above,
        array_agg(pinball ORDER BY chain_seq, step, revision) AS pinball,
        array_agg(coalesce(calibrated_pinball, pinball) ORDER BY chain_seq, step, revision) AS calibrated_pinball,
        array_agg(pinballs ORDER BY chain_seq, step, revision) AS pinballs,
        array_agg(coalesce(calibrated_pinballs, pinballs) ORDER BY chain_seq, step, revision) AS calibrated_pinballs,
        array_agg(interval_score ORDER BY chain_seq, step, revision) AS interval_score,
        array_agg(coalesce(raw_interval_score, interval_score) ORDER BY chain_seq, step, revision)
            AS raw_interval_score,
        array_agg(width ORDER BY chain_seq, step, revision) AS width,
        array_agg(coalesce(raw_width, width) ORDER BY chain_seq, step, revision) AS raw_width,
        array_agg(abs_error ORDER BY chain_seq, step, revision) AS abs_error,
        array_agg(coalesce(crps, 'NaN') ORDER BY chain_seq, step, revision) AS crps,
        array_agg(coalesce(calibrated_crps, 'NaN') ORDER BY chain_seq, step, revision) AS calibrated_crps,
        array_agg(coalesce(pit, 'NaN') ORDER BY chain_seq, step, revision) AS pit,
        array_agg(coalesce(calibrated_pit, 'NaN') ORDER BY chain_seq, step, revision) AS calibrated_pit,
        array_agg(coalesce(p_up, 'NaN') ORDER BY chain_seq, step, revision) AS p_up,
        array_agg(coalesce(calibrated_p_up, 'NaN') ORDER BY chain_seq, step, revision) AS calibrated_p_up,
        array_agg(coalesce(brier, 'NaN') ORDER BY chain_seq, step, revision) AS brier,
        array_agg(coalesce(calibrated_brier, 'NaN') ORDER BY chain_seq, step, revision) AS calibrated_brier
    FROM stored
) AS found
CROSS JOIN (SELECT count(*) AS n_read, max(chain_seq) AS last_seq FROM looked_at) AS counted;
