-- ledger_chains: every chain that has a head or a row, and what the head says.
--
-- One row     one (model_name, interval); chain_seq 0 where rows have no head
-- Parameters  model_name text, interval text: either may be NULL for all
-- Read by     candlecast.store.ledger
-- Index       unique (model_name, interval, chain_seq), read alone

SELECT
    model_name,
    interval,
    coalesce(head.chain_seq, 0) AS chain_seq,
    head.row_hash
FROM candlecast.ledger_heads AS head
FULL JOIN (SELECT DISTINCT model_name, interval FROM candlecast.ml_predictions) AS chain
    USING (model_name, interval)
WHERE model_name = coalesce(CAST(:model_name AS text), model_name)
  AND interval = coalesce(CAST(:interval AS text), interval)
ORDER BY model_name, interval;
