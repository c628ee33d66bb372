-- refresh_signal_performance: make the view new. Readers see the old rows until the new ones are there.
--
-- Only its owner may refresh a materialized view; this lends the writer just that.

CREATE FUNCTION candlecast.refresh_signal_performance() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    REFRESH MATERIALIZED VIEW CONCURRENTLY candlecast.signal_performance;
END
$$;

REVOKE ALL ON FUNCTION candlecast.refresh_signal_performance() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION candlecast.refresh_signal_performance() TO candlecast_writer;
