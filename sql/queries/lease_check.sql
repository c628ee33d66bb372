-- lease_check: whether a run still holds its job's lease; nobody can take the lease over before we commit.
--
-- One row     the token, if it is still ours
-- Parameters  job text, token bigint
-- Read by     candlecast.store.predictions

SELECT token
FROM candlecast.job_leases
WHERE job = :job AND token = :token
FOR SHARE;
