-- gateway_seals: the newest days that were sealed, with their Merkle roots.
--
-- One row     one day, the newest first; the root as the last run that sealed it found it
-- Parameters  job text: the job that seals; n_days integer
-- Read by     gateway.content.ledger
-- Index       job_runs_job_slot_idx
--
-- A run that catches up seals many days, a usual one names two; so twice as many runs as days are enough.

SELECT DISTINCT ON (sealed.day) sealed.day, sealed.root, run.finished_at AS sealed_at
FROM (
    SELECT newest.details, newest.finished_at, newest.run_id
    FROM candlecast.job_runs AS newest
    WHERE newest.job = :job AND newest.status = 'ok'
    ORDER BY newest.slot DESC, newest.run_id DESC
    LIMIT 2 * CAST(:n_days AS integer)
) AS run
CROSS JOIN LATERAL jsonb_each_text(run.details) AS sealed (day, root)
WHERE sealed.day ~ '^\d{4}-\d{2}-\d{2}$' AND sealed.root ~ '^[0-9a-f]{64}$'
ORDER BY sealed.day DESC, run.run_id DESC
LIMIT CAST(:n_days AS integer);
