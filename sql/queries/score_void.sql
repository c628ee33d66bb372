-- score_void: take out of the queue what will never be scored, and say why.
--
-- One row     arrays over groups: symbol, model_name, record, step, day of the target, newest target, number voided
-- Parameters  interval text, as_of timestamptz, expired_at timestamptz (targets up to then have waited long enough)
-- Read by     candlecast.store.scores.void_pairs
--
-- The rules were fixed before any forecast was issued: a step whose target had closed when its row was written is no
-- forecast; an outcome that has not come seven days after its target is not waited for.

WITH taken AS (
    DELETE FROM candlecast.score_pending
    WHERE interval = CAST(:interval AS text)
      AND target_at <= CAST(:as_of AS timestamptz)
      AND (too_late OR target_at <= CAST(:expired_at AS timestamptz))
    RETURNING *
),

voided AS (
    INSERT INTO candlecast.score_voids
        (prediction_id, step, symbol, interval, model_name, record, issued_at, target_at, reason)
    SELECT
        prediction_id, step, symbol, interval, model_name, record, issued_at, target_at,
        CASE WHEN too_late THEN 'target had closed' ELSE 'no bar' END
    FROM taken
    ON CONFLICT DO NOTHING
    RETURNING symbol, model_name, record, step, target_at
)

SELECT
    array_agg(symbol) AS symbol,
    array_agg(model_name) AS model_name,
    array_agg(record) AS record,
    array_agg(step) AS step,
    array_agg(day) AS day,
    array_agg(last_target_at) AS last_target_at,
    array_agg(n_voids) AS n_voids
FROM (
    SELECT
        symbol, model_name, record, step, (target_at AT TIME ZONE 'UTC')::date AS day,
        max(target_at) AS last_target_at, count(*) AS n_voids
    FROM voided
    GROUP BY symbol, model_name, record, step, day
) AS grouped;
