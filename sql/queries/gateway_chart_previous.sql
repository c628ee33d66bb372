-- gateway_chart_previous: earlier forecasts of the same series and record, spaced out, each with what then happened.
--
-- One row     one forecast, newest first; `outcomes` are the closes of its target bars, NULL where there is none yet
-- Parameters  symbol text, interval text, model_name text, issued_at timestamptz, replay boolean, synthetic boolean,
--             spacing interval: the least time between two of them; n_forecasts integer
-- Read by     gateway.content.chart
-- Index       unique (symbol, interval, model_name, issued_at): one descent per forecast, at most 200 rows each;
--             ohlcv_1h_symbol_closed_at_idx or ohlcv_1d_symbol_closed_at_idx, one probe per target
--
-- Where 200 forecasts of another record lie in between, it ends there.

WITH RECURSIVE spaced AS (
    SELECT 0 AS place, CAST(:issued_at AS timestamptz) AS issued_at, CAST(NULL AS uuid) AS prediction_id
    UNION ALL
    SELECT spaced.place + 1, earlier.issued_at, earlier.prediction_id
    FROM spaced
    CROSS JOIN LATERAL (
        SELECT candidate.issued_at, candidate.prediction_id
        FROM (
            SELECT forecast.issued_at, forecast.prediction_id, forecast.status, forecast.synthetic
            FROM candlecast.ml_predictions AS forecast
            WHERE forecast.symbol = :symbol
              AND forecast.interval = :interval
              AND forecast.model_name = :model_name
              AND forecast.issued_at <= spaced.issued_at - CAST(:spacing AS interval)
            ORDER BY forecast.issued_at DESC
            LIMIT 200
        ) AS candidate
        WHERE (candidate.status = 'replay') = CAST(:replay AS boolean)
          AND candidate.synthetic = CAST(:synthetic AS boolean)
        ORDER BY candidate.issued_at DESC
        LIMIT 1
    ) AS earlier
    WHERE spaced.place < CAST(:n_forecasts AS integer)
)

SELECT
    forecast.prediction_id,
    forecast.issued_at,
    forecast.target_at,
    forecast.p10,
    forecast.p50,
    forecast.p90,
    happened.outcomes
FROM spaced
INNER JOIN candlecast.ml_predictions AS forecast ON forecast.prediction_id = spaced.prediction_id
CROSS JOIN LATERAL (
    SELECT array_agg(coalesce(hourly.close, daily.close) ORDER BY target.step) AS outcomes
    FROM unnest(forecast.target_at) WITH ORDINALITY AS target (closed_at, step)
    LEFT JOIN candlecast.ohlcv_1h AS hourly
        ON forecast.interval = '1h' AND hourly.symbol = forecast.symbol AND hourly.closed_at = target.closed_at
    LEFT JOIN candlecast.ohlcv_1d AS daily
        ON forecast.interval = '1d' AND daily.symbol = forecast.symbol AND daily.closed_at = target.closed_at
) AS happened
ORDER BY forecast.issued_at DESC;
