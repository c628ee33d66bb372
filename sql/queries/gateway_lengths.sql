-- gateway_lengths: how long the chains of an interval are: what is on record and can no longer change.
--
-- One row     one model
-- Parameters  interval text, model_name text: NULL for all models
-- Read by     gateway.content.history

SELECT head.model_name, head.chain_seq
FROM candlecast.ledger_heads AS head
WHERE head.interval = :interval
  AND head.model_name = coalesce(CAST(:model_name AS text), head.model_name)
ORDER BY head.model_name;
