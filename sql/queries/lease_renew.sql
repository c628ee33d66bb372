-- lease_renew: keep a lease that is still ours, and say on the run's row that it lives.
--
-- One row     the run that was kept; no row when the lease is lost
-- Parameters  job text, token bigint, ttl_s float, run_id bigint
-- Read by     candlecast.store.runs.renew_lease

WITH kept AS (
    UPDATE candlecast.job_leases
    SET expires_at = clock_timestamp() + make_interval(secs => :ttl_s)
    WHERE job = :job AND token = :token
    RETURNING job
)

UPDATE candlecast.job_runs
SET heartbeat_at = clock_timestamp()
FROM kept
WHERE job_runs.run_id = :run_id
RETURNING job_runs.run_id;
