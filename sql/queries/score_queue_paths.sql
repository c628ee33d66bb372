-- score_queue_paths: keep the sample paths at the judged steps until all of those are judged.
--
-- Parameters  steps int[], rising; arrays of equal length, one element per forecast with paths: prediction_id uuid[],
--             n_steps int[] (of `steps`, from the first on), first int[] (where its steps begin in `fan`), closes bytea[]
--             (float32, little-endian: step by step, all paths); fan, calibrated float8[] (11 values for each step of
--             each forecast, laid end to end; calibrated NaN where nothing was corrected)
-- Read by     candlecast.store.predictions, in the transaction that inserts the forecasts

INSERT INTO candlecast.path_pending (
    prediction_id, interval, last_target_at, steps, target_at, last_close, scale, fan, calibrated, closes
)
SELECT
    sealed.prediction_id,
    sealed.interval,
    sealed.target_at[(CAST(:steps AS integer[]))[queued.n_steps]],
    (CAST(:steps AS integer[]))[1 : queued.n_steps],
    ARRAY(
        SELECT sealed.target_at[judged.step]
        FROM unnest((CAST(:steps AS integer[]))[1 : queued.n_steps]) WITH ORDINALITY AS judged (step, place)
        ORDER BY judged.place
    ),
    sealed.last_close,
    sealed.scale,
    (CAST(:fan AS double precision[]))[queued.first * 11 - 10 : (queued.first + queued.n_steps - 1) * 11],
    CASE
        WHEN (CAST(:calibrated AS double precision[]))[queued.first * 11] <> 'NaN'
        THEN (CAST(:calibrated AS double precision[]))[
            queued.first * 11 - 10 : (queued.first + queued.n_steps - 1) * 11
        ]
    END,
    queued.closes
FROM unnest(
    CAST(:prediction_id AS uuid[]), CAST(:n_steps AS integer[]), CAST(:first AS integer[]), CAST(:closes AS bytea[])
) AS queued (prediction_id, n_steps, first, closes)
INNER JOIN candlecast.ml_predictions AS sealed ON sealed.prediction_id = queued.prediction_id
ON CONFLICT (prediction_id) DO NOTHING;
