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
-- then, and with what a later correction replaced. A missing bar postpones: the pair stays in the queue.

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
    SELECT looked_at.*, coalesce(later.old_close, bar.close) AS outcome
    FROM looked_at
    -- A lateral LIMIT makes this one probe of the bars' index a pair, whatever the planner believes about their number.
    CROSS JOIN LATERAL (
        SELECT bars.ts, bars.close
        FROM (
            SELECT '1h' AS interval, symbol, ts, closed_at, close, first_seen FROM candlecast.ohlcv_1h
            UNION ALL
            SELECT '1d', symbol, ts, closed_at, close, first_seen FROM candlecast.ohlcv_1d
        ) AS bars
        WHERE bars.interval = CAST(:interval AS text)
          AND bars.symbol = looked_at.symbol
          AND bars.closed_at = looked_at.target_at
          AND bars.first_seen <= CAST(:as_of AS timestamptz)
        LIMIT 1
    ) AS bar
    LEFT JOIN LATERAL (
        SELECT revision.old_close
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
