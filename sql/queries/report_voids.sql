-- report_voids: pairs that were given up, by reason.
--
-- One row     one (interval, record, model_name, reason)
-- Parameters  as_of timestamptz
-- Read by     candlecast.store.reports

SELECT interval, record, model_name, reason, count(*)::integer AS n
FROM candlecast.score_voids
WHERE target_at < date_trunc('day', CAST(:as_of AS timestamptz), 'UTC')
GROUP BY interval, record, model_name, reason
ORDER BY interval, record, model_name, reason;
