-- ledger_rows: a part of one chain, as the bytes its hashes were made of.
--
-- One row     one forecast: the stored row_hash, and a record of every other column in the order that the trigger
--             seal_prediction hashed them, prev_hash and chain_seq first; binary COPY writes the record as
--             record_send does
-- Parameters  model_name text, interval text, after bigint, upto bigint, put in as literals: COPY takes none
-- Read by     candlecast.store.ledger
-- Index       unique (model_name, interval, chain_seq)

COPY (
    SELECT
        row_hash,
        ROW(
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
    FROM candlecast.ml_predictions
    WHERE model_name = {model_name} AND interval = {interval} AND chain_seq > {after} AND chain_seq <= {upto}
    ORDER BY chain_seq
) TO STDOUT (FORMAT binary)
