-- score_revise: append a revision to pairs that are scored already.
--
-- One row     n: how many were written
-- Parameters  interval text; arrays as in score_insert, and symbol, model_name, record text[], revision int[],
--             issued_at, target_at timestamptz[]; score_version int
-- Read by     candlecast.store.score_revisions

WITH written AS (
    INSERT INTO candlecast.prediction_scores (
        prediction_id, step, revision, symbol, interval, model_name, record, issued_at, target_at,
        outcome, log_return, signal, move, hit, inside, below, above, pinball, pinballs,
        interval_score, width, abs_error, crps, z, calibrated_pinball, calibrated_pinballs, raw_inside, raw_below,
        raw_above, raw_interval_score, raw_width, calibrated_crps, pit, calibrated_pit, p_up, calibrated_p_up, brier,
        calibrated_brier, score_version
    )
    SELECT
        prediction_id, step, revision, symbol, CAST(:interval AS text), model_name, record, issued_at, target_at,
        outcome, log_return, signal, move, CASE WHEN hit >= 0 THEN hit = 1 END, inside, below, above, pinball,
        ARRAY[q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10],
        interval_score, width, abs_error, nullif(crps, 'NaN'), z, calibrated_pinball,
        ARRAY[c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10],
        raw_inside, raw_below, raw_above, raw_interval_score, raw_width, nullif(calibrated_crps, 'NaN'), pit,
        calibrated_pit, p_up, calibrated_p_up, nullif(brier, 'NaN'), nullif(calibrated_brier, 'NaN'),
        CAST(:score_version AS smallint)
    FROM unnest(
        CAST(:prediction_id AS uuid[]), CAST(:step AS integer[]), CAST(:revision AS integer[]),
        CAST(:symbol AS text[]), CAST(:model_name AS text[]), CAST(:record AS text[]),
        CAST(:issued_at AS timestamptz[]), CAST(:target_at AS timestamptz[]), CAST(:outcome AS double precision[]),
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
    ) AS judged (
        prediction_id, step, revision, symbol, model_name, record, issued_at, target_at, outcome,
        log_return, signal, move, hit, inside, below, above, pinball,
        q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, interval_score, width, abs_error, crps,
        z, calibrated_pinball, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, raw_inside, raw_below, raw_above,
        raw_interval_score, raw_width, calibrated_crps, pit, calibrated_pit, p_up, calibrated_p_up, brier,
        calibrated_brier
    )
    RETURNING prediction_id
)

SELECT count(*) AS n FROM written;
