-- path_insert: write what sets of paths were worth, and take them, and those that will never be judged, from the queue.
--
-- One row     n: how many were written
-- Parameters  arrays of equal length: prediction_id uuid[], n_steps int[], energy, calibrated_energy, variogram,
--             calibrated_variogram float8[]; done uuid[] (all to be taken); score_version int
-- Read by     candlecast.store.path_scores
--
-- A set that is not in the queue any more, or is scored already, is left out: so scoring twice changes nothing.

WITH taken AS (
    DELETE FROM candlecast.path_pending
    WHERE prediction_id = ANY(CAST(:done AS uuid[]))
    RETURNING prediction_id
),

written AS (
    INSERT INTO candlecast.path_scores (
        prediction_id, n_steps, energy, calibrated_energy, variogram, calibrated_variogram, score_version
    )
    SELECT
        judged.prediction_id, judged.n_steps, judged.energy, judged.calibrated_energy, judged.variogram,
        judged.calibrated_variogram, CAST(:score_version AS smallint)
    FROM unnest(
        CAST(:prediction_id AS uuid[]), CAST(:n_steps AS integer[]), CAST(:energy AS double precision[]),
        CAST(:calibrated_energy AS double precision[]), CAST(:variogram AS double precision[]),
        CAST(:calibrated_variogram AS double precision[])
    ) AS judged (prediction_id, n_steps, energy, calibrated_energy, variogram, calibrated_variogram)
    INNER JOIN taken USING (prediction_id)
    ON CONFLICT DO NOTHING
    RETURNING prediction_id
)

SELECT count(*) AS n FROM written;
