-- score_insert: take judged pairs out of the queue and write what they were worth.
--
-- One row     n: how many pairs were written; places: if not all, their places (from 1) in the given arrays;
--             n_strange: rows taken that are none of the given pairs, always 0
-- Parameters  arrays of equal length: row_at tid[] (where score_due saw the pair), prediction_id uuid[], step int[], outcome, log_return float8[], signal, move,
--             hit int2[] (-1: no direction), inside, below, above bool[], pinball float8[], q0 to q10 float8[] (the
--             pinball loss at each level), interval_score, width, abs_error, crps float8[] (NaN: no paths);
--             score_version int
-- Read by     candlecast.store.scores.write_scores
--
-- A pair that is not in the queue any more, or is scored already, is left out: so scoring twice changes nothing.

WITH judged AS (
    SELECT judged.*
    FROM unnest(
        CAST(:prediction_id AS uuid[]), CAST(:step AS integer[]),
        CAST(:outcome AS double precision[]),
        CAST(:log_return AS double precision[]), CAST(:signal AS smallint[]), CAST(:move AS smallint[]),
        CAST(:hit AS smallint[]), CAST(:inside AS boolean[]), CAST(:below AS boolean[]), CAST(:above AS boolean[]),
        CAST(:pinball AS double precision[]),
        CAST(:q0 AS double precision[]), CAST(:q1 AS double precision[]), CAST(:q2 AS double precision[]),
        CAST(:q3 AS double precision[]), CAST(:q4 AS double precision[]), CAST(:q5 AS double precision[]),
        CAST(:q6 AS double precision[]), CAST(:q7 AS double precision[]), CAST(:q8 AS double precision[]),
        CAST(:q9 AS double precision[]), CAST(:q10 AS double precision[]),
        CAST(:interval_score AS double precision[]), CAST(:width AS double precision[]),
        CAST(:abs_error AS double precision[]), CAST(:crps AS double precision[])
    ) WITH ORDINALITY AS judged (
        prediction_id, step, outcome, log_return, signal, move, hit, inside, below, above, pinball,
        q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, interval_score, width, abs_error, crps, place
    )
),

taken AS (
    DELETE FROM candlecast.score_pending
    WHERE ctid = ANY(CAST(:row_at AS tid[]))
    RETURNING prediction_id, step, symbol, interval, model_name, record, issued_at, target_at
),

written AS (
    INSERT INTO candlecast.prediction_scores (
        prediction_id, step, revision, symbol, interval, model_name, record, issued_at, target_at,
        outcome, log_return, signal, move, hit, inside, below, above, pinball, pinballs,
        interval_score, width, abs_error, crps, score_version
    )
    SELECT
        prediction_id, step, 0, symbol, interval, model_name, record, issued_at, target_at,
        outcome, log_return, signal, move, CASE WHEN hit >= 0 THEN hit = 1 END, inside, below, above, pinball,
        ARRAY[q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10],
        interval_score, width, abs_error, nullif(crps, 'NaN'), CAST(:score_version AS smallint)
    FROM taken
    INNER JOIN judged USING (prediction_id, step)
    ON CONFLICT DO NOTHING
    RETURNING prediction_id, step
)

SELECT
    -- Nearly always all of them, and then nobody has to look which.
    CASE
        WHEN (SELECT count(*) FROM written) < cardinality(CAST(:step AS integer[]))
        THEN (SELECT array_agg(judged.place) FROM written INNER JOIN judged USING (prediction_id, step))
    END AS places,
    (SELECT count(*) FROM written) AS n,
    (SELECT count(*) FROM taken) - (SELECT count(*) FROM taken INNER JOIN judged USING (prediction_id, step)) AS n_strange;
