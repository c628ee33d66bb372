-- score_overlapping: the newest revision of every scored pair that has to do with some days of some series.
--
-- One row     arrays over the pairs; `series` is the place of theirs in the given arrays
-- Parameters  interval text; arrays of equal length, one element per series: symbol, record text[], step int[], first_at,
--             until timestamptz[] (the days and the bar before, the end excluded), latest_target_at timestamptz[] (a
--             bound for the index)
-- Read by     candlecast.store.scores
-- Index       prediction_scores_series_idx: (symbol, interval, step, target_at)
--
-- These are the pairs that were live on a bar of those days. All models: a row counts for skill where the baseline
-- has one too. A score of version 1 says nothing of what was served, which then was the fan as it came.

SELECT
    array_agg(series.place::integer) AS series,
    array_agg(score.model_name) AS model_name,
    array_agg(score.issued_at) AS issued_at,
    array_agg(score.target_at) AS target_at,
    array_agg(score.revision) AS revision,
    array_agg(score.signal) AS signal,
    array_agg(score.pinball) AS pinball,
    array_agg(coalesce(score.calibrated_pinball, score.pinball)) AS calibrated_pinball,
    array_agg(coalesce(score.crps, 'NaN')) AS crps,
    array_agg(coalesce(score.calibrated_crps, score.crps, 'NaN')) AS calibrated_crps,
    array_agg(score.interval_score) AS interval_score
FROM unnest(
    CAST(:symbol AS text[]), CAST(:record AS text[]), CAST(:step AS integer[]),
    CAST(:first_at AS timestamptz[]), CAST(:until AS timestamptz[]), CAST(:latest_target_at AS timestamptz[])
) WITH ORDINALITY AS series (symbol, record, step, first_at, until, latest_target_at, place)
CROSS JOIN LATERAL (
    SELECT scores.model_name, scores.issued_at, scores.target_at, scores.revision, scores.signal, scores.pinball,
        scores.calibrated_pinball, scores.crps, scores.calibrated_crps, scores.interval_score
    FROM candlecast.prediction_scores AS scores
    WHERE scores.symbol = series.symbol
      AND scores.interval = CAST(:interval AS text)
      AND scores.step = series.step
      AND scores.record = series.record
      AND scores.target_at >= series.first_at
      AND scores.target_at < series.latest_target_at
      AND scores.issued_at < series.until
    OFFSET 0 -- one range of the index a series
) AS score;
