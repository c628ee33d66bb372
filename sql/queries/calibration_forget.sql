-- calibration_forget: drop all snapshots of a model; they can be made again.
--
-- Parameters  interval text, model_name text
-- Read by     candlecast.store.calibration

DELETE FROM candlecast.calibration_states
WHERE interval = :interval AND model_name = :model_name;
