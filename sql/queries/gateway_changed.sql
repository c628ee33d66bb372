-- gateway_changed: the instruments that got forecasts since the chains had the given lengths.
--
-- One row     one (symbol, interval)
-- Parameters  model_names text[], intervals text[], lengths bigint[]: one chain per position
-- Read by     gateway.watch
-- Index       unique (model_name, interval, chain_seq): reads the new rows only

SELECT DISTINCT forecast.symbol, forecast.interval
FROM unnest(CAST(:model_names AS text[]), CAST(:intervals AS text[]), CAST(:lengths AS bigint[]))
    AS seen (model_name, interval, chain_seq)
INNER JOIN candlecast.ml_predictions AS forecast
    ON forecast.model_name = seen.model_name
    AND forecast.interval = seen.interval
    AND forecast.chain_seq > seen.chain_seq;
