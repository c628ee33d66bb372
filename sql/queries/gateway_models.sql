-- gateway_models: every model that has ever issued a forecast or is registered.
--
-- One row     one (model_name, version, interval); version is NULL for a name that only the ledger knows,
--             interval is NULL for a registered model that has issued nothing
-- Parameters  none
-- Read by     gateway.overview
--
-- n_forecasts counts the chain of the name, over all its versions.

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
    head.updated_at AS last_recorded_at
FROM candlecast.model_versions AS model
FULL JOIN candlecast.ledger_heads AS head ON head.model_name = model.model_name
ORDER BY 1, model.first_seen DESC, 2, head.interval;
