-- gateway_models: every model that has ever issued a forecast or is registered.
--
-- One row     one (model_name, version, interval); version is NULL for a name that only the ledger knows,
--             interval is NULL for a registered model that has issued nothing
-- Parameters  none
-- Read by     gateway.content.models
--
-- n_forecasts counts the chain of the name, over all its versions. synthetic is told by the newest forecast: a store
-- holds real bars or generated ones, never both.

SELECT
    coalesce(model.model_name, head.model_name) AS model_name,
    model.version,
    model.base,
    model.adapter,
    model.asset_class,
    model.description,
    model.takes_events,
    model.state,
    model.first_seen,
    head.interval,
    head.chain_seq AS n_forecasts,
    head.updated_at AS last_recorded_at,
    coalesce(newest.synthetic, false) AS synthetic
FROM candlecast.model_versions AS model
FULL JOIN candlecast.ledger_heads AS head ON head.model_name = model.model_name
LEFT JOIN candlecast.ml_predictions AS newest
    ON newest.model_name = head.model_name
    AND newest.interval = head.interval
    AND newest.chain_seq = head.chain_seq
ORDER BY 1, model.first_seen DESC, 2, head.interval;
