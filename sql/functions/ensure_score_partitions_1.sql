-- ensure_score_partitions: the months of prediction_scores from one instant to another, where they are missing.
--
-- Runs with the owner's rights, so that the writer needs none to make tables. A month is made aside and then
-- attached, because a partition that is created in place locks readers out of the whole table.

CREATE FUNCTION candlecast.ensure_score_partitions(first_at timestamptz, last_at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    month timestamptz;
    partition text;
    n_made integer := 0;
BEGIN
    FOR month IN SELECT generate_series(date_trunc('month', first_at), last_at, interval '1 month') LOOP
        partition := 'prediction_scores_' || to_char(month, 'YYYYMM');
        CONTINUE WHEN to_regclass('candlecast.' || partition) IS NOT NULL;
        -- Two scorers (1h and 1d) may want the same month at once: the second waits here and then finds it.
        PERFORM pg_advisory_xact_lock(hashtextextended('candlecast.prediction_scores', 0));
        CONTINUE WHEN to_regclass('candlecast.' || partition) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE candlecast.%I (LIKE candlecast.prediction_scores INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
            partition
        );
        EXECUTE format(
            'ALTER TABLE candlecast.prediction_scores ATTACH PARTITION candlecast.%I FOR VALUES FROM (%L) TO (%L)',
            partition, month, month + interval '1 month'
        );
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON candlecast.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION candlecast.refuse_change()',
            partition
        );
        PERFORM candlecast.protect_table(partition, NULL); -- reached through its parent only
        n_made := n_made + 1;
    END LOOP;
    RETURN n_made;
END
$$;

REVOKE ALL ON FUNCTION candlecast.ensure_score_partitions(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION candlecast.ensure_score_partitions(timestamptz, timestamptz) TO candlecast_writer;
