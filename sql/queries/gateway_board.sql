-- gateway_board: every instrument with one forecast in outline, and the closes before it: what the first page draws.
--
-- One row     an enabled instrument; NULLs where there is no forecast. Of the fan some thirty steps, the first and the last among
--             them; of the closes the newest that had closed at the issue time, oldest first
-- Parameters  interval text, model_name text: NULL for the default model; n_closes integer
-- Read by     gateway.content.board
-- Index       unique (symbol, interval, model_name, issued_at) of ml_predictions: one probe per model, then the primary key;
--             ohlcv_1h_symbol_closed_at_idx or ohlcv_1d_symbol_closed_at_idx
--
-- Same probe and same order of models as gateway_newest. The branch of the other interval's bars is not run. LIMIT 1 has the
-- planner look the chosen forecast up, where a join might outline the whole history first.

SELECT
    instrument.symbol,
    instrument.name,
    instrument.asset_class,
    instrument.quote_asset,
    instrument.forecast,
    instrument.settle_s,
    chosen.model_name,
    chosen.issued_at,
    outline.horizon,
    outline.last_close,
    outline.synthetic,
    outline.status,
    outline.next_close_at,
    outline.last_target_at,
    outline.steps,
    outline.p10,
    outline.p50,
    outline.p90,
    history.closes
FROM candlecast.instruments AS instrument
LEFT JOIN LATERAL (
    SELECT latest.prediction_id, latest.model_name, latest.issued_at
    FROM candlecast.ledger_heads AS head
    CROSS JOIN LATERAL (
        SELECT
            forecast.prediction_id,
            forecast.symbol,
            forecast.interval,
            forecast.model_name,
            forecast.model_version,
            forecast.issued_at,
            forecast.recorded_at
        FROM candlecast.ml_predictions AS forecast
        WHERE (forecast.symbol, forecast.interval, forecast.model_name, forecast.issued_at)
            <= (instrument.symbol, head.interval, head.model_name, 'infinity')
        ORDER BY forecast.symbol DESC, forecast.interval DESC, forecast.model_name DESC, forecast.issued_at DESC
        LIMIT 1
    ) AS latest
    LEFT JOIN candlecast.model_versions AS model
        ON model.model_name = latest.model_name
        AND model.version = latest.model_version
    WHERE head.interval = CAST(:interval AS text)
      AND head.model_name = coalesce(CAST(:model_name AS text), head.model_name)
      AND (latest.symbol, latest.interval, latest.model_name) = (instrument.symbol, head.interval, head.model_name)
    ORDER BY
        latest.issued_at DESC,
        (coalesce(model.state, '') = 'champion') DESC,
        (latest.model_name LIKE 'baseline-%'),
        (latest.model_name <> 'baseline-rw'),
        latest.recorded_at DESC,
        latest.model_name
    LIMIT 1
) AS chosen ON true
LEFT JOIN LATERAL (
    SELECT
        forecast.horizon,
        forecast.last_close,
        forecast.synthetic,
        forecast.status,
        forecast.target_at[1] AS next_close_at,
        forecast.target_at[forecast.horizon] AS last_target_at,
        fan.*
    FROM candlecast.ml_predictions AS forecast
    CROSS JOIN LATERAL (
        SELECT
            array_agg(CAST(step.place AS integer) ORDER BY step.place) AS steps,
            array_agg(step.p10 ORDER BY step.place) AS p10,
            array_agg(step.p50 ORDER BY step.place) AS p50,
            array_agg(step.p90 ORDER BY step.place) AS p90
        FROM unnest(forecast.p10, forecast.p50, forecast.p90) WITH ORDINALITY AS step (p10, p50, p90, place)
        WHERE step.place = 1
           OR (forecast.horizon - step.place) % greatest(1, forecast.horizon / 30) = 0
    ) AS fan
    WHERE forecast.prediction_id = chosen.prediction_id
    LIMIT 1
) AS outline ON true
LEFT JOIN LATERAL (
    SELECT array_agg(bar.close ORDER BY bar.closed_at) AS closes
    FROM (
        (
            SELECT hourly.closed_at, hourly.close
            FROM candlecast.ohlcv_1h AS hourly
            WHERE CAST(:interval AS text) = '1h'
              AND hourly.symbol = instrument.symbol
              AND hourly.closed_at <= chosen.issued_at
            ORDER BY hourly.closed_at DESC
            LIMIT CAST(:n_closes AS integer)
        )
        UNION ALL
        (
            SELECT daily.closed_at, daily.close
            FROM candlecast.ohlcv_1d AS daily
            WHERE CAST(:interval AS text) = '1d'
              AND daily.symbol = instrument.symbol
              AND daily.closed_at <= chosen.issued_at
            ORDER BY daily.closed_at DESC
            LIMIT CAST(:n_closes AS integer)
        )
    ) AS bar
) AS history ON true
WHERE instrument.enabled
  AND (instrument.forecast OR chosen.prediction_id IS NOT NULL)
ORDER BY instrument.symbol;
