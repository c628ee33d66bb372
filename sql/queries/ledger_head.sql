-- ledger_head: how long a chain says it is.
--
-- One row     one chain, or none
-- Parameters  model_name text, interval text
-- Read by     candlecast.store.ledger

SELECT chain_seq
FROM candlecast.ledger_heads
WHERE model_name = :model_name AND interval = :interval;
