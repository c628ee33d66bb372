-- gateway_prediction: one forecast, every column of its sealed row.
--
-- One row     one forecast, or none; `is_newest` says whether its model has issued none since
-- Parameters  prediction_id uuid
-- Read by     gateway.content.prediction
-- Index       ml_predictions_pkey; unique (symbol, interval, model_name, issued_at), one probe

SELECT
    forecast.prediction_id,
    forecast.symbol,
    forecast.interval,
    forecast.model_name,
    forecast.model_version,
    forecast.issued_at,
    forecast.recorded_at,
    forecast.status,
    forecast.synthetic,
    forecast.horizon,
    forecast.target_at,
    forecast.last_close,
    forecast.scale,
    forecast.p10,
    forecast.p50,
    forecast.p90,
    forecast.fan,
    forecast.calibration::text AS calibration,
    forecast.n_paths,
    forecast.seed,
    forecast.feed,
    forecast.lookback_start,
    forecast.lookback_end,
    forecast.event_context,
    forecast.run_id,
    forecast.chain_seq,
    forecast.data_hash,
    forecast.paths_hash,
    forecast.prev_hash,
    forecast.row_hash,
    instrument.settle_s,
    NOT EXISTS (
        SELECT
        FROM candlecast.ml_predictions AS later
        WHERE later.symbol = forecast.symbol
          AND later.interval = forecast.interval
          AND later.model_name = forecast.model_name
          AND later.issued_at > forecast.issued_at
    ) AS is_newest
FROM candlecast.ml_predictions AS forecast
INNER JOIN candlecast.instruments AS instrument ON instrument.symbol = forecast.symbol
WHERE forecast.prediction_id = :prediction_id;
