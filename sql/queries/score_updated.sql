-- score_updated: remember that the sums of an interval are of this version.
--
-- Parameters  interval text, sums_version int
-- Read by     candlecast.store.score_sums

UPDATE candlecast.score_marks
SET sums_version = CAST(:sums_version AS integer)
WHERE interval = CAST(:interval AS text) AND sums_version < CAST(:sums_version AS integer);
