-- ledger_rows: a part of one chain, as the bytes its hashes were made of.
--
-- One row     one forecast: the stored row_hash, and a record of every other column in the order that the trigger
--             seal_prediction hashed them, prev_hash and chain_seq first; binary COPY writes the record as
--             record_send does. A row with a feed or a calibration has both as two more fields at the end
-- Parameters  model_name text, interval text, after bigint, upto bigint, put in as literals: COPY takes none
-- Read by     candlecast.store.ledger
-- Index       unique (model_name, interval, chain_seq)

COPY (
    SELECT
        row_hash,
        CASE
            WHEN feed IS NULL AND calibration IS NULL THEN ROW(
                prev_hash,
                chain_seq,
                prediction_id,
                convert_to(symbol, 'UTF8'),
                convert_to(interval, 'UTF8'),
                convert_to(model_name, 'UTF8'),
                convert_to(model_version, 'UTF8'),
                issued_at,
                horizon,
                target_at,
                last_close,
                scale,
                p10,
                p50,
                p90,
                fan,
                seed,
                n_paths,
                lookback_start,
                lookback_end,
                data_hash,
                convert_to(event_context::text, 'UTF8'),
                synthetic,
                paths_hash,
                convert_to(status, 'UTF8'),
                run_id,
                recorded_at
            )
            ELSE ROW(
                prev_hash,
                chain_seq,
                prediction_id,
                convert_to(symbol, 'UTF8'),
                convert_to(interval, 'UTF8'),
                convert_to(model_name, 'UTF8'),
                convert_to(model_version, 'UTF8'),
                issued_at,
                horizon,
                target_at,
                last_close,
                scale,
                p10,
                p50,
                p90,
                fan,
                seed,
                n_paths,
                lookback_start,
                lookback_end,
                data_hash,
                convert_to(event_context::text, 'UTF8'),
                synthetic,
                paths_hash,
                convert_to(status, 'UTF8'),
                run_id,
                recorded_at,
                convert_to(coalesce(feed, ''), 'UTF8'),
                convert_to(coalesce(calibration::text, ''), 'UTF8')
            )
        END
    FROM candlecast.ml_predictions
    WHERE model_name = {model_name} AND interval = {interval} AND chain_seq > {after} AND chain_seq <= {upto}
    ORDER BY chain_seq
) TO STDOUT (FORMAT binary)
