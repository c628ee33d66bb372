-- path_check: stored scores of sets of paths of some forecasts, beside what they were made from.
--
-- One row     a set: its stored scores, what the sealed row says at its steps, and the outcomes as they were judged then
-- Parameters  prediction_ids uuid[]
-- Read by     candlecast.store.score_checks

SELECT
    stored.prediction_id, stored.n_steps, stored.energy, stored.calibrated_energy, stored.variogram,
    stored.calibrated_variogram, sealed.last_close, sealed.scale, sealed.calibration::text AS calibration,
    judged.steps, judged.outcome, judged.fan
FROM candlecast.path_scores AS stored
INNER JOIN candlecast.ml_predictions AS sealed USING (prediction_id)
CROSS JOIN LATERAL (
    SELECT
        array_agg(newest.step ORDER BY newest.step) AS steps,
        array_agg(newest.outcome ORDER BY newest.step) AS outcome,
        array_agg(sealed.fan[(newest.step - 1) * 11 + 1 : newest.step * 11] ORDER BY newest.step) AS fan
    FROM (
        SELECT DISTINCT ON (score.step) score.step, score.outcome
        FROM candlecast.prediction_scores AS score
        WHERE score.prediction_id = stored.prediction_id
          -- What came after is a later judgement of the pair; a set is judged once.
          AND score.scored_at <= stored.scored_at
          AND score.step BETWEEN 1 AND sealed.horizon
        ORDER BY score.step, score.revision DESC
    ) AS newest
) AS judged
WHERE stored.prediction_id = ANY(CAST(:prediction_ids AS uuid[]))
ORDER BY sealed.chain_seq;
