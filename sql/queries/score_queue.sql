-- score_queue: put steps of forecasts into the queue of what is to be scored, with what the judgement needs, and on
-- record in forecast_steps, which stays when the queue is worked off.
--
-- Parameters  arrays of equal length: prediction_id uuid[], step int[], closes bytea[] (float32, little-endian: the
--             sample paths at that step; NULL without paths), calibrated float8[] (the fan as served at that step, 11
--             values each, laid end to end; NaN where nothing was corrected)
-- Read by     candlecast.store.predictions, in the transaction that inserts the forecasts
--
-- Everything but the paths is read from the sealed row itself. Steps beyond a forecast's horizon are left out.

WITH judged AS MATERIALIZED (
    SELECT
        sealed.prediction_id,
        queued.step,
        sealed.target_at[queued.step] AS target_at,
        sealed.symbol,
        sealed.interval,
        sealed.model_name,
        candlecast.record_of(sealed.status, sealed.synthetic) AS record,
        sealed.status <> 'replay' AND sealed.target_at[queued.step] <= sealed.recorded_at AS too_late,
        sealed.feed,
        sealed.issued_at,
        sealed.last_close,
        sealed.scale,
        sealed.p10[queued.step] AS p10,
        sealed.p50[queued.step] AS p50,
        sealed.p90[queued.step] AS p90,
        sealed.fan[(queued.step - 1) * 11 + 1 : queued.step * 11] AS fan,
        queued.closes,
        CASE
            WHEN (CAST(:calibrated AS double precision[]))[queued.place * 11] <> 'NaN'
            THEN (CAST(:calibrated AS double precision[]))[queued.place * 11 - 10 : queued.place * 11]
        END AS calibrated
    FROM unnest(CAST(:prediction_id AS uuid[]), CAST(:step AS integer[]), CAST(:closes AS bytea[]))
        WITH ORDINALITY AS queued (prediction_id, step, closes, place)
    INNER JOIN candlecast.ml_predictions AS sealed ON sealed.prediction_id = queued.prediction_id
    WHERE queued.step <= sealed.horizon
),

recorded AS (
    INSERT INTO candlecast.forecast_steps (
        prediction_id, step, symbol, interval, model_name, record, too_late, feed, issued_at, target_at,
        last_close, scale, fan
    )
    SELECT
        prediction_id, step, symbol, interval, model_name, record, too_late, feed, issued_at, target_at,
        last_close, scale, fan
    FROM judged
    ON CONFLICT (prediction_id, step) DO NOTHING
)

INSERT INTO candlecast.score_pending (
    prediction_id, step, target_at, symbol, interval, model_name, record, too_late, issued_at,
    last_close, scale, p10, p50, p90, fan, closes, feed, calibrated
)
SELECT
    prediction_id, step, target_at, symbol, interval, model_name, record, too_late, issued_at,
    last_close, scale, p10, p50, p90, fan, closes, feed, calibrated
FROM judged
ON CONFLICT (prediction_id, step) DO NOTHING;
