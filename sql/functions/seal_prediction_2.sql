-- seal_prediction: what the database itself says about a new forecast: when it came, and its place in the chain.
--
-- One call    one row about to be inserted into ml_predictions
-- Sets        recorded_at, status, chain_seq, prev_hash, row_hash; whatever the caller gave for them is lost,
--             except that the caller may declare a 'replay'
-- Skips       a row whose (symbol, interval, model_name, issued_at) exists: the first forecast stays
--
-- The row of ledger_heads is the lock of its chain, so two writers append one after the other. A row of the same
-- statement is already visible here, and the head is moved once per statement by move_ledger_heads. When the last
-- rows were removed by force, the chain goes on from its head and the gap stays for the verifier to find.
--
-- row_hash is the SHA-256 of the columns in the order below, as record_send writes them: a count, then for each
-- column type oid, length and value, all big-endian; text and json as their UTF-8 bytes. The verifier reads the
-- same bytes by a binary COPY (sql/queries/ledger_rows.sql). A row with a feed or a calibration has both as two more
-- fields at the end, an absent one as no bytes; a row with neither hashes as it did before there were such columns.

CREATE OR REPLACE FUNCTION candlecast.seal_prediction()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head record;
    last_row record;
    broken text;
BEGIN
    LOOP
        SELECT chain_seq, row_hash INTO head
        FROM candlecast.ledger_heads
        WHERE model_name = NEW.model_name AND interval = NEW.interval
        FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO candlecast.ledger_heads (model_name, interval, chain_seq, row_hash, updated_at)
        VALUES (NEW.model_name, NEW.interval, 0, sha256(''), clock_timestamp())
        ON CONFLICT DO NOTHING;
    END LOOP;

    PERFORM FROM candlecast.ml_predictions
    WHERE symbol = NEW.symbol AND interval = NEW.interval
      AND model_name = NEW.model_name AND issued_at = NEW.issued_at;
    IF FOUND THEN
        RETURN NULL;
    END IF;

    broken := CASE
        WHEN cardinality(NEW.target_at) <> NEW.horizon OR cardinality(NEW.p10) <> NEW.horizon
            OR cardinality(NEW.p50) <> NEW.horizon OR cardinality(NEW.p90) <> NEW.horizon
            OR cardinality(NEW.fan) <> NEW.horizon * 11
            THEN 'the arrays do not have one value per step (the fan: 11)'
        WHEN array_position(NEW.target_at, NULL) IS NOT NULL OR array_position(NEW.fan, NULL) IS NOT NULL
            THEN 'the arrays hold NULL'
        WHEN 'NaN' = ANY (NEW.fan) OR 'Infinity' = ANY (NEW.fan) OR '-Infinity' = ANY (NEW.fan)
            THEN 'the fan holds a value that is not finite'
        WHEN EXISTS (
            SELECT FROM unnest(NEW.p10, NEW.p50, NEW.p90) AS step (low, mid, high)
            WHERE NOT coalesce(low <= mid AND mid <= high AND high < 'Infinity' AND low > '-Infinity', false)
        )
            THEN 'p10 <= p50 <= p90 does not hold at every step'
    END;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'the forecast of % % by % issued at % is not stored: %',
            NEW.symbol, NEW.interval, NEW.model_name, NEW.issued_at, broken
            USING ERRCODE = 'check_violation';
    END IF;

    SELECT chain_seq, row_hash INTO last_row
    FROM candlecast.ml_predictions
    WHERE model_name = NEW.model_name AND interval = NEW.interval
    ORDER BY chain_seq DESC
    LIMIT 1;
    IF last_row.chain_seq > head.chain_seq THEN
        head := last_row;
    END IF;

    NEW.recorded_at := clock_timestamp();
    NEW.status := CASE
        WHEN NEW.status = 'replay' THEN 'replay'
        WHEN NEW.recorded_at >= NEW.target_at[1] THEN 'late'
        ELSE 'on_time'
    END;
    NEW.chain_seq := head.chain_seq + 1;
    NEW.prev_hash := head.row_hash;
    NEW.row_hash := sha256(CASE
        WHEN NEW.feed IS NULL AND NEW.calibration IS NULL THEN record_send(ROW(
            NEW.prev_hash,
            NEW.chain_seq,
            NEW.prediction_id,
            convert_to(NEW.symbol, 'UTF8'),
            convert_to(NEW.interval, 'UTF8'),
            convert_to(NEW.model_name, 'UTF8'),
            convert_to(NEW.model_version, 'UTF8'),
            NEW.issued_at,
            NEW.horizon,
            NEW.target_at,
            NEW.last_close,
            NEW.scale,
            NEW.p10,
            NEW.p50,
            NEW.p90,
            NEW.fan,
            NEW.seed,
            NEW.n_paths,
            NEW.lookback_start,
            NEW.lookback_end,
            NEW.data_hash,
            convert_to(NEW.event_context::text, 'UTF8'),
            NEW.synthetic,
            NEW.paths_hash,
            convert_to(NEW.status, 'UTF8'),
            NEW.run_id,
            NEW.recorded_at
        ))
        ELSE record_send(ROW(
            NEW.prev_hash,
            NEW.chain_seq,
            NEW.prediction_id,
            convert_to(NEW.symbol, 'UTF8'),
            convert_to(NEW.interval, 'UTF8'),
            convert_to(NEW.model_name, 'UTF8'),
            convert_to(NEW.model_version, 'UTF8'),
            NEW.issued_at,
            NEW.horizon,
            NEW.target_at,
            NEW.last_close,
            NEW.scale,
            NEW.p10,
            NEW.p50,
            NEW.p90,
            NEW.fan,
            NEW.seed,
            NEW.n_paths,
            NEW.lookback_start,
            NEW.lookback_end,
            NEW.data_hash,
            convert_to(NEW.event_context::text, 'UTF8'),
            NEW.synthetic,
            NEW.paths_hash,
            convert_to(NEW.status, 'UTF8'),
            NEW.run_id,
            NEW.recorded_at,
            convert_to(coalesce(NEW.feed, ''), 'UTF8'),
            convert_to(coalesce(NEW.calibration::text, ''), 'UTF8')
        ))
    END);
    RETURN NEW;
END
$$;
