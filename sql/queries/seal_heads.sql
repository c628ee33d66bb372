-- seal_heads: the newest row of every chain that was recorded before a moment.
--
-- One row     one chain that had a row by then
-- Parameters  before timestamptz
-- Read by     candlecast.store.sealing
-- Index       unique (model_name, interval, chain_seq), read backwards

SELECT chain.model_name, chain.interval, newest.chain_seq, newest.row_hash
FROM (SELECT DISTINCT model_name, interval FROM candlecast.ml_predictions) AS chain
CROSS JOIN LATERAL (
    SELECT chain_seq, row_hash
    FROM candlecast.ml_predictions
    WHERE model_name = chain.model_name AND interval = chain.interval AND recorded_at < :before
    ORDER BY chain_seq DESC
    LIMIT 1
) AS newest
ORDER BY chain.model_name, chain.interval;
