-- gateway_evaluation: which evaluations there are, and the body of the one that is asked for.
--
-- One row     one (record, interval); body is NULL for all but the chosen one
-- Parameters  record text: NULL for the first that there is of live, late, replay and synthetic; interval text
-- Read by     gateway.content.evaluation

WITH ranked AS (
    SELECT
        record, interval, as_of, made_at, n_models, body,
        array_position(ARRAY['live', 'late', 'replay', 'synthetic'], record) AS place
    FROM candlecast.evaluations
),

chosen AS (
    SELECT record, interval
    FROM ranked
    WHERE interval = CAST(:interval AS text)
      AND record = coalesce(CAST(:record AS text), record)
    ORDER BY place
    LIMIT 1
)

SELECT
    ranked.record, ranked.interval, ranked.as_of, ranked.made_at, ranked.n_models,
    CASE WHEN chosen.record IS NOT NULL THEN ranked.body END AS body
FROM ranked
LEFT JOIN chosen ON chosen.record = ranked.record AND chosen.interval = ranked.interval
ORDER BY ranked.place, ranked.interval = '1d';
