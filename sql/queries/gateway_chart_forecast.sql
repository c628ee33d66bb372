-- gateway_chart_forecast: the forecast that a chart shows, and the models that could be shown in its place.
--
-- One row     one forecast with its instrument, or none; `models` are those with a forecast here, the default first,
--             `is_newest` says whether its model has issued none since
-- Parameters  symbol text, interval text, model_name text: NULL for the default model; prediction_id uuid: NULL for the
--             newest of the model
-- Read by     gateway.content.chart
-- Index       unique (symbol, interval, model_name, issued_at): one probe per model; the primary key for one by id
--
-- Same probe and same order as gateway_newest.

WITH newest AS (
    SELECT
        row_number() OVER (
            ORDER BY
                latest.issued_at DESC,
                (coalesce(model.state, '') = 'champion') DESC,
                (latest.model_name LIKE 'baseline-%'),
                (latest.model_name <> 'baseline-rw'),
                latest.recorded_at DESC,
                latest.model_name
        ) AS place,
        latest.model_name,
        latest.prediction_id
    FROM candlecast.ledger_heads AS head
    CROSS JOIN LATERAL (
        SELECT
            forecast.symbol,
            forecast.interval,
            forecast.model_name,
            forecast.model_version,
            forecast.prediction_id,
            forecast.issued_at,
            forecast.recorded_at
        FROM candlecast.ml_predictions AS forecast
        WHERE (forecast.symbol, forecast.interval, forecast.model_name, forecast.issued_at)
            <= (CAST(:symbol AS text), head.interval, head.model_name, 'infinity')
        ORDER BY forecast.symbol DESC, forecast.interval DESC, forecast.model_name DESC, forecast.issued_at DESC
        LIMIT 1
    ) AS latest
    LEFT JOIN candlecast.model_versions AS model
        ON model.model_name = latest.model_name
        AND model.version = latest.model_version
    WHERE head.interval = :interval
      AND (latest.symbol, latest.interval, latest.model_name) = (:symbol, head.interval, head.model_name)
)

SELECT
    instrument.name,
    instrument.asset_class,
    instrument.quote_asset,
    instrument.settle_s,
    (SELECT array_agg(newest.model_name ORDER BY newest.place) FROM newest) AS models,
    forecast.prediction_id IN (SELECT newest.prediction_id FROM newest) AS is_newest,
    forecast.prediction_id,
    forecast.model_name,
    forecast.model_version,
    forecast.issued_at,
    forecast.recorded_at,
    forecast.horizon,
    forecast.target_at,
    forecast.last_close,
    forecast.fan,
    forecast.calibration::text AS calibration,
    forecast.n_paths,
    forecast.event_context,
    forecast.synthetic,
    forecast.status
FROM candlecast.ml_predictions AS forecast
INNER JOIN candlecast.instruments AS instrument ON instrument.symbol = forecast.symbol
WHERE forecast.prediction_id = coalesce(
        CAST(:prediction_id AS uuid),
        (
            SELECT newest.prediction_id
            FROM newest
            WHERE newest.model_name = coalesce(CAST(:model_name AS text), newest.model_name)
            ORDER BY newest.place
            LIMIT 1
        )
    )
  AND forecast.symbol = :symbol
  AND forecast.interval = :interval
  AND forecast.model_name = coalesce(CAST(:model_name AS text), forecast.model_name);
