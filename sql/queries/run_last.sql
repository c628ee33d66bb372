-- run_last: the newest slot of a job before a given one that has any ledger row.
--
-- One row     slot, or NULL where the job never ran
-- Parameters  job text, before timestamptz
-- Read by     candlecast.store.runs.last_slot

SELECT max(slot) AS slot
FROM candlecast.job_runs
WHERE job = :job AND slot < :before;
