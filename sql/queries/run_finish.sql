-- run_finish: close the ledger row of a run. A row that is already closed stays as it is.
--
-- Parameters  run_id bigint, status text, n_expected int, n_ok int, n_failed int, n_skipped int, error text, details jsonb
-- Read by     candlecast.store.runs.finish_run

UPDATE candlecast.job_runs
SET status = :status,
    finished_at = clock_timestamp(),
    n_expected = :n_expected,
    n_ok = :n_ok,
    n_failed = :n_failed,
    n_skipped = :n_skipped,
    error = :error,
    details = coalesce(details, '{}'::jsonb) || CAST(:details AS jsonb)
WHERE run_id = :run_id AND status = 'running';
