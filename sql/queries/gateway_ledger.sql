-- gateway_ledger: every hash chain with its length and newest hash.
--
-- One row     one (model_name, interval)
-- Parameters  none
-- Read by     gateway.content.ledger

SELECT head.model_name, head.interval, head.chain_seq, head.row_hash, head.updated_at
FROM candlecast.ledger_heads AS head
ORDER BY head.model_name, head.interval;
