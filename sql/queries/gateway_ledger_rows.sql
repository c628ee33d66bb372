-- gateway_ledger_rows: a piece of one hash chain: the hashes, and what they seal.
--
-- One row     one forecast, in the order of the chain
-- Parameters  model_name text, interval text, after bigint: the place behind which to begin; n_rows integer
-- Read by     gateway.content.ledger
-- Index       unique (model_name, interval, chain_seq)

SELECT
    sealed.chain_seq,
    sealed.prediction_id,
    sealed.symbol,
    sealed.issued_at,
    sealed.recorded_at,
    sealed.status,
    sealed.data_hash,
    sealed.paths_hash,
    sealed.prev_hash,
    sealed.row_hash
FROM candlecast.ml_predictions AS sealed
WHERE sealed.model_name = :model_name
  AND sealed.interval = :interval
  AND sealed.chain_seq > CAST(:after AS bigint)
ORDER BY sealed.chain_seq
LIMIT CAST(:n_rows AS integer);
