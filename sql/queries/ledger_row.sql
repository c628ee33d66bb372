-- ledger_row: who the forecast at one place of a chain is.
--
-- One row     one forecast, or none
-- Parameters  model_name text, interval text, chain_seq bigint
-- Read by     candlecast.store.ledger

SELECT prediction_id, symbol, issued_at, row_hash
FROM candlecast.ml_predictions
WHERE model_name = :model_name AND interval = :interval AND chain_seq = :chain_seq;
