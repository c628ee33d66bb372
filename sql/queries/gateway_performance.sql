-- gateway_performance: a piece of the track record, filtered, in the order of its key.
--
-- One row     one row of signal_performance
-- Parameters  symbol, asset_class, interval, model_name, step (int), window, record: NULL for no filter; after_record,
--             after_symbol, after_interval, after_model_name, after_step (int), after_window: the last row of the piece
--             before, NULL for the first; n_rows int
-- Read by     gateway.content.performance
-- Index       signal_performance_key, where a symbol is named

SELECT
    performance.symbol,
    performance.asset_class,
    performance.interval,
    performance.model_name,
    performance.record,
    performance.step,
    performance."window",
    performance.n,
    performance.n_eff,
    performance.n_voids,
    performance.voids,
    performance.n_moves,
    performance.hit_rate,
    performance.naive_hit_rate,
    performance.signals_up,
    performance.hit_rate_low,
    performance.hit_rate_high,
    performance.coverage,
    performance.below,
    performance.above,
    performance.raw_coverage,
    performance.raw_below,
    performance.raw_above,
    performance.pinball,
    performance.calibrated_pinball,
    performance.interval_score,
    performance.raw_interval_score,
    performance.width,
    performance.raw_width,
    performance.abs_error,
    performance.crps,
    performance.calibrated_crps,
    performance.n_crps,
    performance.brier,
    performance.calibrated_brier,
    performance.n_brier,
    performance.skill,
    performance.skill_se,
    performance.crps_skill,
    performance.calibrated_crps_skill,
    performance.interval_skill,
    performance.n_common,
    performance.sharpe,
    performance.sharpe_se,
    performance.turnover,
    performance.n_bars,
    performance.as_of,
    performance.updated_at
FROM candlecast.signal_performance AS performance
WHERE (CAST(:symbol AS text) IS NULL OR performance.symbol = :symbol)
  AND (CAST(:asset_class AS text) IS NULL OR performance.asset_class = :asset_class)
  AND (CAST(:interval AS text) IS NULL OR performance.interval = :interval)
  AND (CAST(:model_name AS text) IS NULL OR performance.model_name = :model_name)
  AND (CAST(:step AS integer) IS NULL OR performance.step = :step)
  AND (CAST(:window AS text) IS NULL OR performance."window" = :window)
  AND (CAST(:record AS text) IS NULL OR performance.record = :record)
  AND (
    CAST(:after_record AS text) IS NULL
    OR (
        performance.record, performance.symbol, performance.interval, performance.model_name, performance.step,
        performance."window"
    ) > (
        :after_record, CAST(:after_symbol AS text), CAST(:after_interval AS text), CAST(:after_model_name AS text),
        CAST(:after_step AS integer), CAST(:after_window AS text)
    )
  )
ORDER BY
    performance.record,
    performance.symbol,
    performance.interval,
    performance.model_name,
    performance.step,
    performance."window"
LIMIT CAST(:n_rows AS integer);
