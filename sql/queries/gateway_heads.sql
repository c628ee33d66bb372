-- gateway_heads: the newest row of every chain of the ledger.
--
-- One row     one chain
-- Parameters  none
-- Read by     gateway.content.status

SELECT model_name, interval, chain_seq, encode(row_hash, 'hex') AS head, updated_at
FROM candlecast.ledger_heads
ORDER BY model_name, interval = '1d';
