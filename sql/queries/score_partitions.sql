-- score_partitions: make the months of prediction_scores that the due pairs belong to, where they are missing.
--
-- One row     n_made: how many months were made
-- Parameters  interval text, as_of timestamptz
-- Read by     candlecast.store.scores.ensure_partitions

SELECT candlecast.ensure_score_partitions(min(target_at), max(target_at)) AS n_made
FROM candlecast.score_pending
WHERE interval = :interval AND target_at <= CAST(:as_of AS timestamptz)
HAVING count(*) > 0;
