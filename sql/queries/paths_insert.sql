-- paths_insert: store the sample paths of new forecasts.
--
-- Parameters  arrays of equal length: prediction_id uuid[], n_paths int[], horizon int[], closes bytea[]; codec text
-- Read by     candlecast.store.predictions

INSERT INTO candlecast.prediction_paths (prediction_id, n_paths, horizon, codec, closes)
SELECT new.prediction_id, new.n_paths, new.horizon, :codec, new.closes
FROM unnest(
    CAST(:prediction_id AS uuid[]), CAST(:n_paths AS int[]), CAST(:horizon AS int[]), CAST(:closes AS bytea[])
) AS new (prediction_id, n_paths, horizon, closes);
