-- score_void: take out of the queue what will never be scored, and say why.
--
-- One row     arrays over groups: symbol, model_name, record, step, day of the target, reason, newest target, number
--             voided
-- Parameters  interval text, as_of timestamptz, expired_at timestamptz (targets up to then have waited long enough)
-- Read by     candlecast.store.scores.void_pairs
-- Index       score_pending_order_idx, ohlcv_1h_symbol_closed_at_idx, ohlcv_1d_symbol_closed_at_idx
--
-- The rules were fixed before any forecast was issued: a step whose target had closed when its row was written is no
-- forecast; an outcome that has not come seven days after its target is not waited for; and a bar that is there, seen
-- and settled, may be one that cannot judge: see candlecast.void_reason.

WITH judged AS MATERIALIZED (
    SELECT
        pending.ctid AS row_at,
        CASE
            WHEN pending.too_late THEN 'target had closed'
            WHEN bar.reason IS NOT NULL THEN bar.reason
            WHEN pending.target_at <= CAST(:expired_at AS timestamptz) THEN 'no bar'
        END AS reason
    FROM candlecast.score_pending AS pending
    LEFT JOIN LATERAL (
        SELECT candlecast.void_reason(bars.state, coalesce(later.old_source, bars.source), pending.feed) AS reason
        FROM (
            SELECT '1h' AS interval, symbol, ts, closed_at, state, source, first_seen FROM candlecast.ohlcv_1h
            UNION ALL
            SELECT '1d', symbol, ts, closed_at, state, source, first_seen FROM candlecast.ohlcv_1d
        ) AS bars
        LEFT JOIN LATERAL (
            SELECT revision.old_source
            FROM candlecast.ohlcv_revisions AS revision
            WHERE revision.symbol = bars.symbol
              AND revision.interval = CAST(:interval AS text)
              AND revision.ts = bars.ts
              AND revision.revised_at > CAST(:as_of AS timestamptz)
            ORDER BY revision.revised_at
            LIMIT 1
        ) AS later ON true
        WHERE bars.interval = CAST(:interval AS text)
          AND bars.symbol = pending.symbol
          AND bars.closed_at = pending.target_at
          AND bars.first_seen <= CAST(:as_of AS timestamptz)
          AND bars.closed_at <= CAST(:as_of AS timestamptz) - make_interval(secs => (
              SELECT instruments.settle_s
              FROM candlecast.instruments
              WHERE instruments.symbol = pending.symbol
          ))
        LIMIT 1
    ) AS bar ON true
    WHERE pending.interval = CAST(:interval AS text)
      AND pending.target_at <= CAST(:as_of AS timestamptz)
),

taken AS (
    DELETE FROM candlecast.score_pending AS pending
    USING judged
    WHERE pending.ctid = judged.row_at
      AND judged.reason IS NOT NULL
    RETURNING pending.*, judged.reason
),

voided AS (
    INSERT INTO candlecast.score_voids
        (prediction_id, step, symbol, interval, model_name, record, issued_at, target_at, reason)
    SELECT prediction_id, step, symbol, interval, model_name, record, issued_at, target_at, reason
    FROM taken
    ON CONFLICT DO NOTHING
    RETURNING symbol, model_name, record, step, target_at, reason
)

SELECT
    array_agg(symbol) AS symbol,
    array_agg(model_name) AS model_name,
    array_agg(record) AS record,
    array_agg(step) AS step,
    array_agg(day) AS day,
    array_agg(reason) AS reason,
    array_agg(last_target_at) AS last_target_at,
    array_agg(n_voids) AS n_voids
FROM (
    SELECT
        symbol, model_name, record, step, (target_at AT TIME ZONE 'UTC')::date AS day, reason,
        max(target_at) AS last_target_at, count(*) AS n_voids
    FROM voided
    GROUP BY symbol, model_name, record, step, day, reason
) AS grouped;
