-- gateway_prediction_scores: what one forecast was worth at each step that was judged.
--
-- One row     one step: its newest score, or the reason why there will be none (`void_reason`)
-- Parameters  prediction_id uuid; issued_at, until timestamptz: its issue time and last target, which name the
--             partitions to read
-- Read by     gateway.content.prediction
-- Index       primary keys of the partitions and of score_voids

(
    SELECT DISTINCT ON (score.step)
        score.step,
        score.target_at,
        CAST(NULL AS text) AS void_reason,
        score.revision,
        score.outcome,
        score.log_return,
        score.hit,
        score.inside,
        score.raw_inside,
        score.pinball,
        score.calibrated_pinball,
        score.interval_score,
        score.raw_interval_score,
        score.width,
        score.raw_width,
        score.abs_error,
        score.crps,
        score.calibrated_crps,
        score.pit,
        score.calibrated_pit,
        score.p_up,
        score.calibrated_p_up,
        score.brier,
        score.calibrated_brier,
        score.score_version,
        score.scored_at
    FROM candlecast.prediction_scores AS score
    WHERE score.prediction_id = :prediction_id
      AND score.target_at > :issued_at
      AND score.target_at <= :until
    ORDER BY score.step, score.revision DESC
)
UNION ALL
SELECT
    void.step,
    void.target_at,
    void.reason,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL,
    void.voided_at
FROM candlecast.score_voids AS void
WHERE void.prediction_id = :prediction_id
  AND NOT EXISTS (
      SELECT
      FROM candlecast.prediction_scores AS score
      WHERE score.prediction_id = :prediction_id
        AND score.step = void.step
        AND score.target_at > :issued_at
        AND score.target_at <= :until
  )
ORDER BY step;
