-- gateway_history: one page of an instrument's forecasts, the newest issue time first.
--
-- One row     one forecast; lists as JSON text, so that no object is made for each of their values
-- Parameters  symbol text, interval text; model_names text[], lengths bigint[]: the chains to read and up to which
--             place; as_of timestamptz: only rows recorded by then; since, until timestamptz: issue times from one
--             and before the other; status text; place_issued_at, place_recorded_at timestamptz, place_id uuid: the
--             last row of the page before; each of these may be NULL; n_rows integer
-- Read by     gateway.content.history
-- Index       unique (symbol, interval, model_name, issued_at): one descent per model, n_rows of each
--
-- The bounds are rows, and the order names all four columns, so that no other index can serve it: see gateway_newest.

WITH page AS (
    SELECT newest.prediction_id, newest.issued_at, newest.recorded_at
    FROM unnest(CAST(:model_names AS text[]), CAST(:lengths AS bigint[])) AS chain (model_name, length)
    CROSS JOIN LATERAL (
        SELECT forecast.prediction_id, forecast.issued_at, forecast.recorded_at
        FROM candlecast.ml_predictions AS forecast
        WHERE (forecast.symbol, forecast.interval, forecast.model_name, forecast.issued_at) >= (
                CAST(:symbol AS text), CAST(:interval AS text), chain.model_name,
                coalesce(CAST(:since AS timestamptz), '-infinity')
            )
          AND (forecast.symbol, forecast.interval, forecast.model_name, forecast.issued_at) <= (
                CAST(:symbol AS text), CAST(:interval AS text), chain.model_name,
                least(CAST(:until AS timestamptz), CAST(:place_issued_at AS timestamptz), 'infinity')
            )
          AND (CAST(:until AS timestamptz) IS NULL OR forecast.issued_at < :until)
          AND (
                CAST(:place_issued_at AS timestamptz) IS NULL
                OR (forecast.issued_at, forecast.recorded_at, forecast.prediction_id)
                    < (:place_issued_at, CAST(:place_recorded_at AS timestamptz), CAST(:place_id AS uuid))
            )
          AND (CAST(:as_of AS timestamptz) IS NULL OR forecast.recorded_at <= :as_of)
          AND (CAST(:status AS text) IS NULL OR forecast.status = :status)
          AND forecast.chain_seq <= chain.length
        ORDER BY forecast.symbol DESC, forecast.interval DESC, forecast.model_name DESC, forecast.issued_at DESC
        LIMIT CAST(:n_rows AS integer)
    ) AS newest
    ORDER BY newest.issued_at DESC, newest.recorded_at DESC, newest.prediction_id DESC
    LIMIT CAST(:n_rows AS integer)
)

SELECT
    forecast.prediction_id,
    forecast.model_name,
    forecast.model_version,
    forecast.issued_at,
    forecast.recorded_at,
    forecast.status,
    forecast.synthetic,
    forecast.horizon,
    forecast.last_close,
    forecast.scale,
    forecast.n_paths,
    forecast.calibration IS NOT NULL AS corrected,
    array_to_json(forecast.p10)::text AS p10,
    array_to_json(forecast.p50)::text AS p50,
    array_to_json(forecast.p90)::text AS p90,
    (
        SELECT array_to_json(array_agg((to_json(target.at AT TIME ZONE 'UTC') #>> '{}') || 'Z' ORDER BY target.step))::text
        FROM unnest(forecast.target_at) WITH ORDINALITY AS target (at, step)
    ) AS target_at
FROM page
INNER JOIN candlecast.ml_predictions AS forecast ON forecast.prediction_id = page.prediction_id
ORDER BY page.issued_at DESC, page.recorded_at DESC, page.prediction_id DESC;
