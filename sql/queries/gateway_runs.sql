-- gateway_runs: the newest runs with all that is known of them, for whoever operates this.
--
-- One row     one run
-- Parameters  max_rows int
-- Read by     gateway.content.status
-- Index       primary key, read backwards

SELECT
    run_id, job, slot, attempt, status, owner, started_at, heartbeat_at, deadline_at, finished_at, n_expected, n_ok,
    n_failed, n_skipped, error, details
FROM candlecast.job_runs
ORDER BY run_id DESC
LIMIT :max_rows;
