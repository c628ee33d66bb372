-- report_signals: which way each forecast pointed and how wide it was, for portfolios made after the fact.
--
-- One row     arrays over the pairs, in order of issue; NULL where there is nothing
-- Parameters  as_of timestamptz
-- Read by     candlecast.store.reports
--
-- Every pair whose target closed by as_of, in the version that was known then; see report_days. width is that of the
-- served band, in sigmas of a bar.

SELECT
    array_agg(interval) AS interval,
    array_agg(record) AS record,
    array_agg(model_name) AS model_name,
    array_agg(step) AS step,
    array_agg(symbol) AS symbol,
    array_agg(issued_at) AS issued_at,
    array_agg(target_at) AS target_at,
    array_agg(signal) AS signal,
    array_agg(width) AS width
FROM (
    SELECT DISTINCT ON (score.issued_at, score.prediction_id, score.step) score.*
    FROM candlecast.prediction_scores AS score
    WHERE score.target_at < date_trunc('day', CAST(:as_of AS timestamptz), 'UTC')
      AND (score.revision = 0 OR score.scored_at <= CAST(:as_of AS timestamptz))
    ORDER BY score.issued_at, score.prediction_id, score.step, score.revision DESC
) AS known;
