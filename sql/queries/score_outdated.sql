-- score_outdated: the series whose sums of whole days were made by an older version of the program.
--
-- One row     a series of the interval, with its first and last day
-- Parameters  interval text, sums_version int
-- Read by     candlecast.store.score_sums

SELECT days.symbol, days.record, days.step, min(days.day) AS first_day, max(days.day) AS last_day
FROM candlecast.score_days AS days
WHERE days.interval = CAST(:interval AS text)
  -- Asked once, before a day is read.
  AND (SELECT mark.sums_version FROM candlecast.score_marks AS mark WHERE mark.interval = CAST(:interval AS text))
    < CAST(:sums_version AS integer)
GROUP BY days.symbol, days.record, days.step
ORDER BY days.symbol, days.record, days.step;
