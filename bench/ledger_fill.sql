-- ledger_fill: many forecasts at once, sealed by the real trigger like every other.
--
-- Parameters  first bigint, last bigint: numbers of the rows; horizon int; n_symbols int; target_at timestamptz[];
--             p10, p50, p90, fan float8[]: the same for every row, the verifier reads them all the same

INSERT INTO candlecast.ml_predictions (
    prediction_id, symbol, interval, model_name, model_version, issued_at, horizon, target_at, last_close, scale,
    p10, p50, p90, fan, seed, n_paths, lookback_start, lookback_end, data_hash, event_context, synthetic, status
)
SELECT
    gen_random_uuid(),
    'S' || (row_number % :n_symbols),
    '1h',
    'baseline-rw',
    repeat('ab', 32),
    issue.issued_at,
    :horizon,
    :target_at,
    100 + row_number % 7,
    0.01,
    :p10,
    :p50,
    :p90,
    :fan,
    row_number,
    0,
    issue.issued_at - interval '392 hours',
    issue.issued_at,
    sha256(int8send(row_number)),
    '{"active": []}',
    true,
    'replay'
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS row_number
CROSS JOIN LATERAL (
    SELECT timestamptz '1900-01-01 00:00Z' + make_interval(hours => (row_number / :n_symbols)::int) AS issued_at
) AS issue
ORDER BY row_number;
