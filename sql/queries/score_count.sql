-- score_count: how much there is in the queue.
--
-- One row     n_pending pairs, and n_overdue of them whose target had closed at as_of (their bar is missing)
-- Parameters  interval text, as_of timestamptz
-- Read by     candlecast.store.scores.count_pending

SELECT
    count(*) AS n_pending,
    count(*) FILTER (WHERE target_at <= CAST(:as_of AS timestamptz)) AS n_overdue
FROM candlecast.score_pending
WHERE interval = :interval;
