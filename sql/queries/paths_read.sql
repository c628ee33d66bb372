-- paths_read: the stored sample paths of some predictions.
--
-- One row     one prediction that still has its paths
-- Parameters  prediction_ids uuid[]
-- Read by     candlecast.store.paths

SELECT prediction_id, n_paths, horizon, codec, closes
FROM candlecast.prediction_paths
WHERE prediction_id = ANY (:prediction_ids);
