-- run_missed: record slots that passed without a run. They are never issued later: a forecast is not back-dated.
--
-- Parameters  job text, slots timestamptz[], owner text
-- Read by     candlecast.store.runs.record_missed

INSERT INTO candlecast.job_runs (job, slot, attempt, status, owner, started_at, finished_at, error)
SELECT :job, missed.slot, 0, 'missed', :owner, clock_timestamp(), clock_timestamp(), 'no run in its time'
FROM unnest(CAST(:slots AS timestamptz[])) AS missed (slot);
