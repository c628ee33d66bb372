-- forget_by_steps: drop the calibrator's snapshots that would have learned from the new forecasts, had those been there.
--
-- A replay writes forecasts of the past. A snapshot from after the first of their targets lacks their labels, and a
-- calibrator that went on from it would differ from one made anew. Runs once per statement.
--
-- The lock is shared among writers. Whoever stores a snapshot tries it alone, so no snapshot is stored that misses
-- rows which are being written.

CREATE FUNCTION candlecast.forget_by_steps()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('candlecast.calibration_states', 0));
    DELETE FROM candlecast.calibration_states AS state
    USING (
        SELECT
            inserted.interval,
            inserted.model_name,
            inserted.record = 'synthetic' AS synthetic,
            min(inserted.target_at + make_interval(secs => instrument.settle_s)) AS known_at
        FROM inserted
        INNER JOIN candlecast.instruments AS instrument ON instrument.symbol = inserted.symbol
        WHERE NOT inserted.too_late
        GROUP BY 1, 2, 3
    ) AS taught
    WHERE state.interval = taught.interval
      AND state.model_name = taught.model_name
      AND state.synthetic = taught.synthetic
      AND state.known_until >= taught.known_at;
    RETURN NULL;
END
$$;
