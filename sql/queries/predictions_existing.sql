-- predictions_existing: which forecasts of a model are there already.
--
-- One row     one (symbol, issued_at)
-- Parameters  interval text, model_name text, issued_at timestamptz[]
-- Read by     candlecast.store.predictions
-- Index       ml_predictions (interval, issued_at)

SELECT symbol, issued_at
FROM candlecast.ml_predictions
WHERE interval = :interval AND model_name = :model_name AND issued_at = ANY (:issued_at);
