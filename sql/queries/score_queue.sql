-- score_queue: put steps of forecasts into the queue of what is to be scored, with what the judgement needs.
--
-- Parameters  arrays of equal length: prediction_id uuid[], step int[], closes bytea[] (float32, little-endian: the
--             sample paths at that step; NULL without paths)
-- Read by     candlecast.store.predictions, in the transaction that inserts the forecasts
--
-- Everything but the paths is read from the sealed row itself. Steps beyond a forecast's horizon are left out.

INSERT INTO candlecast.score_pending (
    prediction_id, step, target_at, symbol, interval, model_name, record, too_late, issued_at,
    last_close, scale, p10, p50, p90, fan, closes
)
SELECT
    sealed.prediction_id,
    queued.step,
    sealed.target_at[queued.step],
    sealed.symbol,
    sealed.interval,
    sealed.model_name,
    candlecast.record_of(sealed.status, sealed.synthetic),
    sealed.status <> 'replay' AND sealed.target_at[queued.step] <= sealed.recorded_at,
    sealed.issued_at,
    sealed.last_close,
    sealed.scale,
    sealed.p10[queued.step],
    sealed.p50[queued.step],
    sealed.p90[queued.step],
    sealed.fan[(queued.step - 1) * 11 + 1 : queued.step * 11],
    queued.closes
FROM unnest(CAST(:prediction_id AS uuid[]), CAST(:step AS integer[]), CAST(:closes AS bytea[]))
    AS queued (prediction_id, step, closes)
INNER JOIN candlecast.ml_predictions AS sealed ON sealed.prediction_id = queued.prediction_id
WHERE queued.step <= sealed.horizon
ON CONFLICT (prediction_id, step) DO NOTHING;
