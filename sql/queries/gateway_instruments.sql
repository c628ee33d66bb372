-- gateway_instruments: every instrument with the outline of its newest forecasts.
--
-- One row     one (symbol, interval, model_name); an instrument without a forecast has one row with NULLs
-- Parameters  none
-- Read by     gateway.content.overview
-- Index       unique (symbol, interval, model_name, issued_at) of ml_predictions: one probe per row
--
-- Same probe and same order within an instrument as gateway_newest: the default model first.

SELECT
    instrument.symbol,
    instrument.name,
    instrument.asset_class,
    instrument.calendar,
    instrument.quote_asset,
    instrument.leader,
    instrument.forecast,
    instrument.enabled,
    instrument.settle_s,
    newest.interval,
    newest.model_name,
    newest.issued_at,
    newest.recorded_at,
    newest.horizon,
    newest.last_close,
    newest.next_close_at,
    newest.last_target_at,
    newest.first_p10,
    newest.first_p50,
    newest.first_p90,
    newest.last_p10,
    newest.last_p50,
    newest.last_p90,
    newest.synthetic,
    newest.status
FROM candlecast.instruments AS instrument
LEFT JOIN LATERAL (
    SELECT latest.*
    FROM candlecast.ledger_heads AS head
    CROSS JOIN LATERAL (
        SELECT
            forecast.symbol,
            forecast.interval,
            forecast.model_name,
            forecast.model_version,
            forecast.issued_at,
            forecast.recorded_at,
            forecast.horizon,
            forecast.last_close,
            forecast.target_at[1] AS next_close_at,
            forecast.target_at[forecast.horizon] AS last_target_at,
            forecast.p10[1] AS first_p10,
            forecast.p50[1] AS first_p50,
            forecast.p90[1] AS first_p90,
            forecast.p10[forecast.horizon] AS last_p10,
            forecast.p50[forecast.horizon] AS last_p50,
            forecast.p90[forecast.horizon] AS last_p90,
            forecast.synthetic,
            forecast.status
        FROM candlecast.ml_predictions AS forecast
        WHERE (forecast.symbol, forecast.interval, forecast.model_name, forecast.issued_at)
            <= (instrument.symbol, head.interval, head.model_name, 'infinity')
        ORDER BY forecast.symbol DESC, forecast.interval DESC, forecast.model_name DESC, forecast.issued_at DESC
        LIMIT 1
    ) AS latest
    WHERE (latest.symbol, latest.interval, latest.model_name) = (instrument.symbol, head.interval, head.model_name)
) AS newest ON true
LEFT JOIN candlecast.model_versions AS model
    ON model.model_name = newest.model_name
    AND model.version = newest.model_version
ORDER BY
    instrument.symbol,
    newest.interval,
    newest.issued_at DESC,
    (coalesce(model.state, '') = 'champion') DESC,
    (newest.model_name LIKE 'baseline-%'),
    (newest.model_name <> 'baseline-rw'),
    newest.recorded_at DESC,
    newest.model_name;
