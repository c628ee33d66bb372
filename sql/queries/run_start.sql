-- run_start: open the ledger row of a run; a run of the same job that never ended is closed as interrupted.
--
-- One row     the new run
-- Parameters  job text, slot timestamptz, owner text, fence bigint, deadline_s float, details jsonb
-- Read by     candlecast.store.runs.start_run
--
-- The caller holds the job's lease, so a row still marked running belongs to a process that was killed.

WITH interrupted AS (
    UPDATE candlecast.job_runs
    SET status = 'interrupted', finished_at = clock_timestamp(), error = 'the process ended without a word'
    WHERE job = :job AND status = 'running'
    RETURNING run_id
)

INSERT INTO candlecast.job_runs
    (job, slot, attempt, status, owner, fence, started_at, heartbeat_at, deadline_at, details)
SELECT
    :job, :slot, 1 + count(earlier.run_id), 'running', :owner, :fence, clock_timestamp(), clock_timestamp(),
    clock_timestamp() + make_interval(secs => :deadline_s), CAST(:details AS jsonb)
FROM (SELECT count(*) AS n FROM interrupted) AS closed
LEFT JOIN candlecast.job_runs AS earlier ON earlier.job = :job AND earlier.slot = :slot
RETURNING run_id;
