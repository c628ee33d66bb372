-- export_chains: what of each chain belongs to an export, as a piece without a gap.
--
-- One row     one chain with a row to export
-- Parameters  model_name text, interval text, start timestamptz, stop timestamptz (by recorded_at): NULL for all
-- Read by     candlecast.store.export
--
-- The piece runs from the first to the last row that was recorded in the span, so that its links can be checked even
-- where the clock was once set back. COLLATE "C" is the order of the leaves of a seal.

SELECT
    model_name,
    interval,
    min(chain_seq) AS first_seq,
    max(chain_seq) AS last_seq
FROM candlecast.ml_predictions
WHERE model_name = coalesce(CAST(:model_name AS text), model_name)
  AND interval = coalesce(CAST(:interval AS text), interval)
  AND (CAST(:start AS timestamptz) IS NULL OR recorded_at >= :start)
  AND (CAST(:stop AS timestamptz) IS NULL OR recorded_at < :stop)
GROUP BY model_name, interval
ORDER BY model_name COLLATE "C", interval COLLATE "C";
