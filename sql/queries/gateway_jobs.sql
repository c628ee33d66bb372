-- gateway_jobs: what became of each job's newest slots, and of what is older only the counts.
--
-- One row     one (job, slot): its newest attempt, for the newest 48 slots; one row without a slot for a job never run
-- Parameters  jobs text[]
-- Read by     gateway.content.status
-- Index       job_runs (job, slot); job_runs (job, slot) of missed ones
--
-- A run whose holder is gone without a word is interrupted, though only the next run will write so. Of details only
-- what may be shown is taken: sentences of errors may name addresses.

SELECT
    asked.job,
    run.slot,
    CASE
        WHEN run.status = 'running' AND coalesce(lease.expires_at < clock_timestamp(), true) THEN 'interrupted'
        ELSE run.status
    END AS status,
    run.started_at,
    run.finished_at,
    coalesce(run.n_ok, 0) AS n_ok,
    coalesce(run.n_failed, 0) AS n_failed,
    coalesce(run.n_skipped, 0) AS n_skipped,
    run.details ->> 'model' AS model_name,
    (run.details -> 'server' ->> 'answered')::boolean AS server_answered,
    CASE WHEN run.job = ANY(ARRAY['seal-ledger', 'verify-ledger', 'score-check-1h', 'score-check-1d'])
        THEN run.details
    END AS details,
    (
        SELECT success.finished_at
        FROM candlecast.job_runs AS success
        WHERE success.job = asked.job AND success.status = 'ok'
        ORDER BY success.slot DESC, success.run_id DESC
        LIMIT 1
    ) AS last_success_at,
    (
        SELECT count(*)
        FROM candlecast.job_runs AS missed
        WHERE missed.job = asked.job AND missed.status = 'missed'
    ) AS n_missed,
    (
        SELECT count(*)
        FROM candlecast.job_runs AS missed
        WHERE missed.job = asked.job AND missed.status = 'missed' AND missed.slot > clock_timestamp() - interval '7 days'
    ) AS n_missed_7d
FROM unnest(CAST(:jobs AS text[])) WITH ORDINALITY AS asked (job, place)
LEFT JOIN candlecast.job_leases AS lease ON lease.job = asked.job
LEFT JOIN LATERAL (
    SELECT DISTINCT ON (slot) *
    FROM candlecast.job_runs
    WHERE job = asked.job
    ORDER BY slot DESC, run_id DESC
    LIMIT 48
) AS run ON true
ORDER BY asked.place, run.slot DESC;
