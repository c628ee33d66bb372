-- seal_place: where in the ledger a forecast is, and when it was recorded.
--
-- One row     one forecast, or none
-- Parameters  prediction_id uuid
-- Read by     candlecast.store.sealing

SELECT model_name, interval, chain_seq, recorded_at
FROM candlecast.ml_predictions
WHERE prediction_id = :prediction_id;
