-- score_series: every series that has scores, of some symbols.
--
-- One row     a (symbol, record, step) of the interval
-- Parameters  interval text, symbols text[]
-- Read by     candlecast.store.scores

SELECT DISTINCT symbol, record, step
FROM candlecast.score_totals
WHERE interval = :interval AND symbol = ANY(CAST(:symbols AS text[]));
