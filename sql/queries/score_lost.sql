-- score_lost: judged steps on record that are neither scored nor void nor waiting: somebody took them away.
--
-- One row     a pair; n of them at most
-- Parameters  interval text, n int
-- Read by     candlecast.store.score_checks

SELECT issued.prediction_id, issued.step
FROM candlecast.forecast_steps AS issued
WHERE issued.interval = CAST(:interval AS text)
  AND NOT EXISTS (
      SELECT FROM candlecast.prediction_scores AS score
      WHERE score.prediction_id = issued.prediction_id AND score.step = issued.step
        AND score.target_at = issued.target_at
  )
  AND NOT EXISTS (
      SELECT FROM candlecast.score_voids AS void
      WHERE void.prediction_id = issued.prediction_id AND void.step = issued.step
  )
  AND NOT EXISTS (
      SELECT FROM candlecast.score_pending AS pending
      WHERE pending.prediction_id = issued.prediction_id AND pending.step = issued.step
  )
ORDER BY issued.issued_at, issued.prediction_id, issued.step
LIMIT :n;
