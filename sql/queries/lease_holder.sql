-- lease_holder: who holds a job's lease, and until when.
--
-- One row     the lease: unique on job
-- Parameters  job text
-- Read by     candlecast.store.runs.read_lease

SELECT owner, token, slot, expires_at, expires_at > clock_timestamp() AS is_held
FROM candlecast.job_leases
WHERE job = :job;
