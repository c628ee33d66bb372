-- run_note: put a check on record that is no scheduled job: it holds no lease and belongs to the moment it began.
--
-- Parameters  job text, status text, owner text, seconds float, details jsonb
-- Read by     candlecast.store.checks

INSERT INTO candlecast.job_runs (job, slot, status, owner, started_at, finished_at, details)
SELECT
    CAST(:job AS text), begun.at, CAST(:status AS text), CAST(:owner AS text), begun.at, clock_timestamp(),
    CAST(:details AS jsonb)
FROM (SELECT clock_timestamp() - make_interval(secs => :seconds) AS at) AS begun;
