-- path_due: the next sets of paths whose steps have all matured, with what their pairs were judged by.
--
-- One row     arrays over the sets, by steps: prediction_id, n_steps, last_close, scale; `steps`, fan, calibrated (the fan
--             where nothing was corrected), outcome laid end to end, set by set; n_bytes of each set's paths, and those
--             joined. ready: all of its pairs are scored; else one of them is void, and the set will never be. n_read
--             sets were looked at, the last of them (last_at, last_id) is where the next call goes on
-- Parameters  interval text, as_of timestamptz, n int; after_at timestamptz, after_id uuid
-- Read by     candlecast.store.path_scores
-- Index       path_pending_order_idx: (interval, last_target_at, prediction_id); prediction_scores_pkey
--
-- The outcome is that of the newest revision: the bar as it was known when its pair was last judged. A set whose pairs
-- are still open waits.

WITH looked_at AS MATERIALIZED (
    SELECT pending.*
    FROM candlecast.path_pending AS pending
    WHERE pending.interval = CAST(:interval AS text)
      AND pending.last_target_at <= CAST(:as_of AS timestamptz)
      AND (pending.last_target_at, pending.prediction_id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
    ORDER BY pending.last_target_at, pending.prediction_id
    LIMIT :n
),

judged AS (
    SELECT looked_at.*, pairs.outcome, pairs.n_scored, voids.n_voids
    FROM looked_at
    CROSS JOIN LATERAL (
        SELECT
            array_agg(coalesce(newest.outcome, 'NaN') ORDER BY asked.place) AS outcome,
            count(newest.outcome) AS n_scored
        FROM unnest(looked_at.steps, looked_at.target_at) WITH ORDINALITY AS asked (step, target_at, place)
        LEFT JOIN LATERAL (
            SELECT score.outcome
            FROM candlecast.prediction_scores AS score
            WHERE score.prediction_id = looked_at.prediction_id
              AND score.step = asked.step
              AND score.target_at = asked.target_at
            ORDER BY score.revision DESC
            LIMIT 1
        ) AS newest ON true
    ) AS pairs
    CROSS JOIN LATERAL (
        SELECT count(*) AS n_voids
        FROM candlecast.score_voids AS void
        WHERE void.prediction_id = looked_at.prediction_id
    ) AS voids
),

due AS (
    SELECT
        prediction_id, steps, cardinality(steps) AS n_steps, last_close, scale, fan, coalesce(calibrated, fan) AS calibrated,
        outcome, closes, n_scored = cardinality(steps) AS ready
    FROM judged
    WHERE n_scored = cardinality(steps) OR n_voids > 0
),

sets AS (
    SELECT
        array_agg(prediction_id ORDER BY prediction_id) AS prediction_id,
        array_agg(ready ORDER BY prediction_id) AS ready,
        array_agg(n_steps ORDER BY prediction_id) AS n_steps,
        array_agg(last_close ORDER BY prediction_id) AS last_close,
        array_agg(scale ORDER BY prediction_id) AS scale,
        array_agg(length(closes) ORDER BY prediction_id) AS n_bytes,
        string_agg(closes, '' ORDER BY prediction_id) AS closes
    FROM due
),

steps AS (
    SELECT
        array_agg(flat.step ORDER BY due.prediction_id, flat.place) AS steps,
        array_agg(flat.outcome ORDER BY due.prediction_id, flat.place) AS outcome,
        array_agg(due.fan[flat.place * 11 - 10 : flat.place * 11] ORDER BY due.prediction_id, flat.place) AS fan,
        array_agg(due.calibrated[flat.place * 11 - 10 : flat.place * 11] ORDER BY due.prediction_id, flat.place)
            AS calibrated
    FROM due
    CROSS JOIN LATERAL unnest(due.steps, due.outcome) WITH ORDINALITY AS flat (step, outcome, place)
)

SELECT sets.*, steps.*, n_read, last_at, last_id
FROM sets
CROSS JOIN steps
CROSS JOIN (SELECT count(*) AS n_read FROM looked_at) AS counted
LEFT JOIN (
    SELECT last_target_at AS last_at, prediction_id AS last_id
    FROM looked_at
    ORDER BY last_target_at DESC, prediction_id DESC
    LIMIT 1
) AS last ON true;
