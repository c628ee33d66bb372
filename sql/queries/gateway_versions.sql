-- gateway_versions: what has changed since the last look, small enough to be asked every few seconds.
--
-- One row     one thing that answers are built from: a forecast chain, or a table
-- Parameters  none
-- Read by     gateway.watch
--
-- `version` of a chain is its length; that of a table merely differs after a change.

SELECT 'chain' AS kind, head.model_name, head.interval, head.chain_seq AS version
FROM candlecast.ledger_heads AS head
UNION ALL
SELECT 'instruments', '', '', count(*) + coalesce((extract(EPOCH FROM max(instrument.updated_at)) * 1e6)::bigint, 0)
FROM candlecast.instruments AS instrument
UNION ALL
SELECT 'models', '', '', hashtext(string_agg(concat_ws('|', model.model_name, model.version, model.state), ','
    ORDER BY model.model_name, model.version))
FROM candlecast.model_versions AS model;
