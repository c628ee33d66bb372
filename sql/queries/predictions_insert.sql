-- predictions_insert: append forecasts to their chains, in the order given.
--
-- One row     one forecast that was new; the first forecast of an issue time stays
-- Parameters  one array per column with one element per forecast; the columns that are arrays themselves are laid
--             end to end, and a forecast's part begins at `first` and has `horizon` values (the fan: 11 each)
-- Read by     candlecast.store.predictions
--
-- The trigger seal_prediction adds recorded_at, status, chain_seq, prev_hash and row_hash, and skips what exists.

INSERT INTO candlecast.ml_predictions (
    prediction_id, symbol, interval, model_name, model_version, issued_at, horizon, target_at, last_close, scale,
    p10, p50, p90, fan, seed, n_paths, lookback_start, lookback_end, data_hash, event_context, synthetic, paths_hash,
    status, run_id, feed, calibration
)
SELECT
    new.prediction_id,
    new.symbol,
    new.interval,
    new.model_name,
    new.model_version,
    new.issued_at,
    new.horizon,
    (CAST(:target_at AS timestamptz[]))[new.first : new.first + new.horizon - 1],
    new.last_close,
    new.scale,
    (CAST(:p10 AS float8[]))[new.first : new.first + new.horizon - 1],
    (CAST(:p50 AS float8[]))[new.first : new.first + new.horizon - 1],
    (CAST(:p90 AS float8[]))[new.first : new.first + new.horizon - 1],
    (CAST(:fan AS float8[]))[new.first * 11 - 10 : (new.first + new.horizon - 1) * 11],
    new.seed,
    new.n_paths,
    new.lookback_start,
    new.lookback_end,
    new.data_hash,
    CAST(new.event_context AS jsonb),
    new.synthetic,
    new.paths_hash,
    new.status,
    new.run_id,
    new.feed,
    CAST(new.calibration AS jsonb)
FROM unnest(
    CAST(:prediction_id AS uuid[]),
    CAST(:symbol AS text[]),
    CAST(:interval AS text[]),
    CAST(:model_name AS text[]),
    CAST(:model_version AS text[]),
    CAST(:issued_at AS timestamptz[]),
    CAST(:horizon AS int[]),
    CAST(:first AS int[]),
    CAST(:last_close AS float8[]),
    CAST(:scale AS float8[]),
    CAST(:seed AS bigint[]),
    CAST(:n_paths AS int[]),
    CAST(:lookback_start AS timestamptz[]),
    CAST(:lookback_end AS timestamptz[]),
    CAST(:data_hash AS bytea[]),
    CAST(:event_context AS text[]),
    CAST(:synthetic AS boolean[]),
    CAST(:paths_hash AS bytea[]),
    CAST(:status AS text[]),
    CAST(:run_id AS bigint[]),
    CAST(:feed AS text[]),
    CAST(:calibration AS text[])
) WITH ORDINALITY AS new (
    prediction_id, symbol, interval, model_name, model_version, issued_at, horizon, first, last_close, scale, seed,
    n_paths, lookback_start, lookback_end, data_hash, event_context, synthetic, paths_hash, status, run_id, feed, calibration, place
)
ORDER BY new.place
RETURNING prediction_id;
