-- score_insert: take judged pairs out of the queue and write what they were worth.
--
-- One row     n: how many pairs were written; places: if not all, their places (from 1) in the given arrays;
--             n_strange: rows taken that are none of the given pairs, always 0
-- Parameters  arrays of equal length: row_at tid[] (where score_due saw the pair), prediction_id uuid[], step int[],
--             outcome float8[], and one for each score: q0 to q10 and c0 to c10 are the pinball losses at each level,
--             of the model's fan and of the one served; hit int2[] is -1 without a direction, crps NaN without paths,
--             brier NaN where the outcome did not move; score_version int
-- Read by     candlecast.store.scores
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
        CAST(:abs_error AS double precision[]), CAST(:crps AS double precision[]),
        CAST(:z AS double precision[]), CAST(:calibrated_pinball AS double precision[]),
        CAST(:c0 AS double precision[]), CAST(:c1 AS double precision[]), CAST(:c2 AS double precision[]),
        CAST(:c3 AS double precision[]), CAST(:c4 AS double precision[]), CAST(:c5 AS double precision[]),
        CAST(:c6 AS double precision[]), CAST(:c7 AS double precision[]), CAST(:c8 AS double precision[]),
        CAST(:c9 AS double precision[]), CAST(:c10 AS double precision[]), CAST(:raw_inside AS boolean[]),
        CAST(:raw_below AS boolean[]), CAST(:raw_above AS boolean[]), CAST(:raw_interval_score AS double precision[]),
        CAST(:raw_width AS double precision[]), CAST(:calibrated_crps AS double precision[]),
        CAST(:pit AS double precision[]), CAST(:calibrated_pit AS double precision[]),
        CAST(:p_up AS double precision[]), CAST(:calibrated_p_up AS double precision[]),
        CAST(:brier AS double precision[]), CAST(:calibrated_brier AS double precision[])
    ) WITH ORDINALITY AS judged (
        prediction_id, step, outcome, log_return, signal, move, hit, inside, below, above, pinball,
        q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, interval_score, width, abs_error, crps,
        z, calibrated_pinball, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, raw_inside, raw_below, raw_above,
        raw_interval_score, raw_width, calibrated_crps, pit, calibrated_pit, p_up, calibrated_p_up, brier,
        calibrated_brier, place
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
        interval_score, width, abs_error, crps, z, calibrated_pinball, calibrated_pinballs, raw_inside, raw_below,
        raw_above, raw_interval_score, raw_width, calibrated_crps, pit, calibrated_pit, p_up, calibrated_p_up, brier,
        calibrated_brier, score_version
    )
    SELECT
        prediction_id, step, 0, symbol, interval, model_name, record, issued_at, target_at,
        outcome, log_return, signal, move, CASE WHEN hit >= 0 THEN hit = 1 END, inside, below, above, pinball,
        ARRAY[q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10],
        interval_score, width, abs_error, nullif(crps, 'NaN'), z, calibrated_pinball,
        ARRAY[c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10],
        raw_inside, raw_below, raw_above, raw_interval_score, raw_width, nullif(calibrated_crps, 'NaN'), pit,
        calibrated_pit, p_up, calibrated_p_up, nullif(brier, 'NaN'), nullif(calibrated_brier, 'NaN'),
        CAST(:score_version AS smallint)
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
