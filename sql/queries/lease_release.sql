-- lease_release: give a lease back, if it is still ours. The token stays, so the next holder's is higher.
--
-- Parameters  job text, token bigint
-- Read by     candlecast.store.runs.release_lease

UPDATE candlecast.job_leases
SET expires_at = 'epoch'
WHERE job = :job AND token = :token;
