-- forget_by_bars: drop the calibrator's snapshots that would have learned from the new bars, had those been there.
--
-- Parameters  the interval of the bars, as the trigger's argument
--
-- Bars of an archive count as seen when they closed, and a long import commits after the moment that it calls seen.
-- Runs once per statement; the lock as in forget_by_steps.

CREATE FUNCTION candlecast.forget_by_bars()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('candlecast.calibration_states', 0));
    DELETE FROM candlecast.calibration_states
    WHERE interval = tg_argv[0] AND known_until >= (SELECT min(first_seen) FROM inserted);
    RETURN NULL;
END
$$;
