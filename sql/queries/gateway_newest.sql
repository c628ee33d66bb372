-- gateway_newest: the newest forecast of every model, the one to serve by default first.
--
-- One row     one (symbol, interval, model_name)
-- Parameters  symbols text[], intervals text[]: one pair per position, both NULL for all; max_rows int
-- Read by     gateway.content.shelf
-- Index       unique (symbol, interval, model_name, issued_at): one probe per row, however long the history
--
-- Default: the newest issue time wins, whoever made it, so a model that stopped never hides a newer forecast. Among
-- models with that issue time the champion of the registry comes first, and a baseline only where no model spoke, the
-- random walk before its rivals.
--
-- The probe asks for the last row not behind (symbol, interval, model_name, infinity), and the outer condition drops
-- it when it belongs to a neighbour. Three plain equalities would let the planner walk an index by issue time
-- instead, through the whole history of everyone else where a model never spoke about an instrument.

SELECT
    newest.*,
    instrument.settle_s
FROM candlecast.instruments AS instrument
CROSS JOIN candlecast.ledger_heads AS head
CROSS JOIN LATERAL (
    SELECT
        forecast.prediction_id,
        forecast.symbol,
        forecast.interval,
        forecast.model_name,
        forecast.model_version,
        forecast.issued_at,
        forecast.recorded_at,
        forecast.horizon,
        forecast.target_at,
        forecast.last_close,
        forecast.scale,
        forecast.p10,
        forecast.p50,
        forecast.p90,
        forecast.seed,
        forecast.n_paths,
        forecast.event_context,
        forecast.synthetic,
        forecast.status
    FROM candlecast.ml_predictions AS forecast
    WHERE (forecast.symbol, forecast.interval, forecast.model_name, forecast.issued_at)
        <= (instrument.symbol, head.interval, head.model_name, 'infinity')
    ORDER BY forecast.symbol DESC, forecast.interval DESC, forecast.model_name DESC, forecast.issued_at DESC
    LIMIT 1
) AS newest
LEFT JOIN candlecast.model_versions AS model
    ON model.model_name = newest.model_name
    AND model.version = newest.model_version
WHERE (newest.symbol, newest.interval, newest.model_name) = (instrument.symbol, head.interval, head.model_name)
  AND (
    CAST(:symbols AS text[]) IS NULL
    OR (instrument.symbol, head.interval) IN (
        SELECT pair.symbol, pair.interval
        FROM unnest(CAST(:symbols AS text[]), CAST(:intervals AS text[])) AS pair (symbol, interval)
    )
  )
ORDER BY
    newest.symbol,
    newest.interval,
    newest.issued_at DESC,
    (coalesce(model.state, '') = 'champion') DESC,
    (newest.model_name LIKE 'baseline-%'),
    (newest.model_name <> 'baseline-rw'),
    newest.recorded_at DESC,
    newest.model_name
LIMIT :max_rows;
