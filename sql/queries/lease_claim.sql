-- lease_claim: take a job's lease if it is free, expired, or held by an owner known to be dead.
--
-- One row     the fencing token of the new holder; no row when somebody else holds the lease
-- Parameters  job text, owner text, slot timestamptz, ttl_s float, dead_owner text (or NULL)
-- Read by     candlecast.store.runs.claim_lease
--
-- A row with a token instead of an advisory lock: session locks are granted to two clients at once
-- behind a transaction pooler, and outlive a client whose network went away.

INSERT INTO candlecast.job_leases AS lease (job, owner, token, slot, expires_at)
VALUES (:job, :owner, 1, :slot, clock_timestamp() + make_interval(secs => :ttl_s))
ON CONFLICT (job) DO UPDATE
SET owner = excluded.owner,
    token = lease.token + 1,
    slot = excluded.slot,
    expires_at = excluded.expires_at
WHERE lease.expires_at < clock_timestamp()
   OR lease.owner = CAST(:dead_owner AS text)
RETURNING lease.token;
