-- score_due: the next pairs of the queue, and the outcomes of those that the market has answered.
--
-- One row     arrays over the pairs with an outcome, by symbol and target; n_read pairs were looked at, and the
--             last of them, (last_symbol, last_target_at, last_id, last_step), is where the next call goes on
-- Parameters  interval text, as_of timestamptz, n int; after_symbol text, after_target_at timestamptz, after_id uuid,
--             after_step int
-- Read by     candlecast.store.scores.read_due
-- Index       score_pending_order_idx: (interval, symbol, target_at, prediction_id, step)
--
-- The outcome is the close of the bar that closed at the target, as it was known at as_of: seen by then, settled by
-- then, and with what a later correction replaced. A missing bar postpones: the pair stays in the queue. So does a bar
-- that may not judge it, until score_void takes the pair out. Where nothing was corrected, `calibrated` is the fan.

WITH looked_at AS MATERIALIZED (
    SELECT pending.ctid AS row_at, pending.*
    FROM candlecast.score_pending AS pending
    WHERE pending.interval = CAST(:interval AS text)
      AND (pending.symbol, pending.target_at, pending.prediction_id, pending.step)
        > (
            CAST(:after_symbol AS text), CAST(:after_target_at AS timestamptz),
            CAST(:after_id AS uuid), CAST(:after_step AS integer)
        )
      AND pending.target_at <= CAST(:as_of AS timestamptz)
      AND NOT pending.too_late
    ORDER BY pending.symbol, pending.target_at, pending.prediction_id, pending.step
    LIMIT :n
),

due AS (
    SELECT
        looked_at.row_at, looked_at.prediction_id, looked_at.step, looked_at.symbol, looked_at.model_name,
        looked_at.record, looked_at.issued_at, looked_at.target_at, looked_at.last_close, looked_at.scale,
        looked_at.p10, looked_at.p50, looked_at.p90, looked_at.fan, looked_at.closes,
        coalesce(looked_at.calibrated, looked_at.fan) AS calibrated,
        coalesce(later.old_close, bar.close) AS outcome
    FROM looked_at
    -- A lateral LIMIT makes this one probe of the bars' index a pair, whatever the planner believes about their number.
    CROSS JOIN LATERAL (
        SELECT bars.ts, bars.close, bars.state, bars.source
        FROM (
            SELECT '1h' AS interval, symbol, ts, closed_at, close, state, source, first_seen FROM candlecast.ohlcv_1h
            UNION ALL
            SELECT '1d', symbol, ts, closed_at, close, state, source, first_seen FROM candlecast.ohlcv_1d
        ) AS bars
        WHERE bars.interval = CAST(:interval AS text)
          AND bars.symbol = looked_at.symbol
          AND bars.closed_at = looked_at.target_at
          AND bars.first_seen <= CAST(:as_of AS timestamptz)
        LIMIT 1
    ) AS bar
    LEFT JOIN LATERAL (
        SELECT revision.old_close, revision.old_source
        FROM candlecast.ohlcv_revisions AS revision
        WHERE revision.symbol = looked_at.symbol
          AND revision.interval = CAST(:interval AS text)
          AND revision.ts = bar.ts
          AND revision.revised_at > CAST(:as_of AS timestamptz)
        ORDER BY revision.revised_at
        LIMIT 1
    ) AS later ON true
    WHERE looked_at.target_at <= CAST(:as_of AS timestamptz) - make_interval(secs => (
        SELECT instruments.settle_s
        FROM candlecast.instruments
        WHERE instruments.symbol = looked_at.symbol
    ))
      -- The usual case first: a call for each pair would cost seconds a million.
      AND (
          (bar.state = 'final' AND looked_at.feed IS NULL)
          OR (bar.state = 'final' AND looked_at.feed = coalesce(later.old_source, bar.source))
          OR candlecast.void_reason(bar.state, coalesce(later.old_source, bar.source), looked_at.feed) IS NULL
      )
)

SELECT found.*, n_read, last_symbol, last_target_at, last_id, last_step
FROM (
    SELECT
        array_agg(row_at) AS row_at,
        array_agg(prediction_id) AS prediction_id,
        array_agg(step) AS step,
        array_agg(symbol) AS symbol,
        array_agg(model_name) AS model_name,
        array_agg(record) AS record,
        array_agg(issued_at) AS issued_at,
        array_agg(target_at) AS target_at,
        array_agg(last_close) AS last_close,
        array_agg(scale) AS scale,
        array_agg(p10) AS p10,
        array_agg(p50) AS p50,
        array_agg(p90) AS p90,
        array_agg(fan) AS fan,
        array_agg(calibrated) AS calibrated,
        array_agg(outcome) AS outcome,
        array_agg(coalesce(length(closes), 0)) AS n_bytes,
        string_agg(closes, '') AS closes
    FROM due
) AS found
CROSS JOIN (SELECT count(*) AS n_read FROM looked_at) AS counted
LEFT JOIN (
    SELECT symbol AS last_symbol, target_at AS last_target_at, prediction_id AS last_id, step AS last_step
    FROM looked_at
    ORDER BY symbol DESC, target_at DESC, prediction_id DESC, step DESC
    LIMIT 1
) AS last ON true;
