-- score_days_add: add to the sums of days, and to the totals. What is added may be negative.
--
-- One row     n: how many days changed
-- Parameters  interval text; arrays of equal length: symbol, model_name, record text[], step int[], day date[],
--             last_target_at timestamptz[] (the newest target among what is added), and one for each sum
-- Read by     candlecast.store.score_sums
--
-- In the transaction that writes or voids the pairs: so sums and scores cannot disagree.

WITH added AS (
    SELECT :interval AS interval, delta.*
    FROM unnest(
        CAST(:symbol AS text[]), CAST(:model_name AS text[]), CAST(:record AS text[]), CAST(:step AS integer[]),
        CAST(:day AS date[]), CAST(:last_target_at AS timestamptz[]),
        CAST(:n AS bigint[]), CAST(:n_moves AS bigint[]), CAST(:n_hits AS bigint[]), CAST(:n_ups AS bigint[]),
        CAST(:n_signals_up AS bigint[]), CAST(:n_inside AS bigint[]), CAST(:n_below AS bigint[]),
        CAST(:n_above AS bigint[]), CAST(:n_raw_inside AS bigint[]), CAST(:n_raw_below AS bigint[]),
        CAST(:n_raw_above AS bigint[]), CAST(:n_crps AS bigint[]), CAST(:n_brier AS bigint[]),
        CAST(:pinball AS double precision[]), CAST(:calibrated_pinball AS double precision[]),
        CAST(:interval_score AS double precision[]), CAST(:raw_interval_score AS double precision[]),
        CAST(:width AS double precision[]), CAST(:raw_width AS double precision[]),
        CAST(:abs_error AS double precision[]), CAST(:crps AS double precision[]),
        CAST(:calibrated_crps AS double precision[]), CAST(:brier AS double precision[]),
        CAST(:calibrated_brier AS double precision[]), CAST(:n_voids AS bigint[]), CAST(:n_voids_closed AS bigint[]),
        CAST(:n_voids_no_bar AS bigint[]), CAST(:n_voids_halt AS bigint[]), CAST(:n_voids_no_trade AS bigint[]),
        CAST(:n_voids_feed AS bigint[]), CAST(:n_bars AS bigint[]), CAST(:bar_return AS double precision[]),
        CAST(:bar_square AS double precision[]), CAST(:turnover AS double precision[]), CAST(:n_common AS bigint[]),
        CAST(:common_pinball AS double precision[]), CAST(:common_calibrated_pinball AS double precision[]),
        CAST(:baseline_pinball AS double precision[]), CAST(:pinball_gap_square AS double precision[]),
        CAST(:common_interval_score AS double precision[]), CAST(:baseline_interval_score AS double precision[]),
        CAST(:n_common_crps AS bigint[]), CAST(:common_crps AS double precision[]),
        CAST(:common_calibrated_crps AS double precision[]), CAST(:baseline_crps AS double precision[])
    ) AS delta (
        symbol, model_name, record, step, day, last_target_at,
        n, n_moves, n_hits, n_ups, n_signals_up, n_inside, n_below, n_above, n_raw_inside, n_raw_below, n_raw_above,
        n_crps, n_brier, pinball, calibrated_pinball, interval_score, raw_interval_score, width, raw_width, abs_error,
        crps, calibrated_crps, brier, calibrated_brier, n_voids, n_voids_closed, n_voids_no_bar, n_voids_halt,
        n_voids_no_trade, n_voids_feed, n_bars, bar_return, bar_square, turnover, n_common, common_pinball,
        common_calibrated_pinball, baseline_pinball, pinball_gap_square, common_interval_score,
        baseline_interval_score, n_common_crps, common_crps, common_calibrated_crps, baseline_crps
    )
),

days AS (
    INSERT INTO candlecast.score_days AS old (
        symbol, interval, model_name, record, step, day,
        n, n_moves, n_hits, n_ups, n_signals_up, n_inside, n_below, n_above, n_raw_inside, n_raw_below, n_raw_above,
        n_crps, n_brier, pinball, calibrated_pinball, interval_score, raw_interval_score, width, raw_width, abs_error,
        crps, calibrated_crps, brier, calibrated_brier, n_voids, n_voids_closed, n_voids_no_bar, n_voids_halt,
        n_voids_no_trade, n_voids_feed, n_bars, bar_return, bar_square, turnover, n_common, common_pinball,
        common_calibrated_pinball, baseline_pinball, pinball_gap_square, common_interval_score,
        baseline_interval_score, n_common_crps, common_crps, common_calibrated_crps, baseline_crps
    )
    SELECT
        symbol, interval, model_name, record, step, day,
        n, n_moves, n_hits, n_ups, n_signals_up, n_inside, n_below, n_above, n_raw_inside, n_raw_below, n_raw_above,
        n_crps, n_brier, pinball, calibrated_pinball, interval_score, raw_interval_score, width, raw_width, abs_error,
        crps, calibrated_crps, brier, calibrated_brier, n_voids, n_voids_closed, n_voids_no_bar, n_voids_halt,
        n_voids_no_trade, n_voids_feed, n_bars, bar_return, bar_square, turnover, n_common, common_pinball,
        common_calibrated_pinball, baseline_pinball, pinball_gap_square, common_interval_score,
        baseline_interval_score, n_common_crps, common_crps, common_calibrated_crps, baseline_crps
    FROM added
    ORDER BY symbol, model_name, record, step, day
    ON CONFLICT (symbol, interval, model_name, record, step, day) DO UPDATE
    SET n = old.n + excluded.n,
        n_moves = old.n_moves + excluded.n_moves,
        n_hits = old.n_hits + excluded.n_hits,
        n_ups = old.n_ups + excluded.n_ups,
        n_signals_up = old.n_signals_up + excluded.n_signals_up,
        n_inside = old.n_inside + excluded.n_inside,
        n_below = old.n_below + excluded.n_below,
        n_above = old.n_above + excluded.n_above,
        n_raw_inside = old.n_raw_inside + excluded.n_raw_inside,
        n_raw_below = old.n_raw_below + excluded.n_raw_below,
        n_raw_above = old.n_raw_above + excluded.n_raw_above,
        n_crps = old.n_crps + excluded.n_crps,
        n_brier = old.n_brier + excluded.n_brier,
        pinball = old.pinball + excluded.pinball,
        calibrated_pinball = old.calibrated_pinball + excluded.calibrated_pinball,
        interval_score = old.interval_score + excluded.interval_score,
        raw_interval_score = old.raw_interval_score + excluded.raw_interval_score,
        width = old.width + excluded.width,
        raw_width = old.raw_width + excluded.raw_width,
        abs_error = old.abs_error + excluded.abs_error,
        crps = old.crps + excluded.crps,
        calibrated_crps = old.calibrated_crps + excluded.calibrated_crps,
        brier = old.brier + excluded.brier,
        calibrated_brier = old.calibrated_brier + excluded.calibrated_brier,
        n_voids = old.n_voids + excluded.n_voids,
        n_voids_closed = old.n_voids_closed + excluded.n_voids_closed,
        n_voids_no_bar = old.n_voids_no_bar + excluded.n_voids_no_bar,
        n_voids_halt = old.n_voids_halt + excluded.n_voids_halt,
        n_voids_no_trade = old.n_voids_no_trade + excluded.n_voids_no_trade,
        n_voids_feed = old.n_voids_feed + excluded.n_voids_feed,
        n_bars = old.n_bars + excluded.n_bars,
        bar_return = old.bar_return + excluded.bar_return,
        bar_square = old.bar_square + excluded.bar_square,
        turnover = old.turnover + excluded.turnover,
        n_common = old.n_common + excluded.n_common,
        common_pinball = old.common_pinball + excluded.common_pinball,
        common_calibrated_pinball = old.common_calibrated_pinball + excluded.common_calibrated_pinball,
        baseline_pinball = old.baseline_pinball + excluded.baseline_pinball,
        pinball_gap_square = old.pinball_gap_square + excluded.pinball_gap_square,
        common_interval_score = old.common_interval_score + excluded.common_interval_score,
        baseline_interval_score = old.baseline_interval_score + excluded.baseline_interval_score,
        n_common_crps = old.n_common_crps + excluded.n_common_crps,
        common_crps = old.common_crps + excluded.common_crps,
        common_calibrated_crps = old.common_calibrated_crps + excluded.common_calibrated_crps,
        baseline_crps = old.baseline_crps + excluded.baseline_crps
    RETURNING day
),

totals AS (
    INSERT INTO candlecast.score_totals AS old (
        symbol, interval, model_name, record, step, last_target_at,
        n, n_moves, n_hits, n_ups, n_signals_up, n_inside, n_below, n_above, n_raw_inside, n_raw_below, n_raw_above,
        n_crps, n_brier, pinball, calibrated_pinball, interval_score, raw_interval_score, width, raw_width, abs_error,
        crps, calibrated_crps, brier, calibrated_brier, n_voids, n_voids_closed, n_voids_no_bar, n_voids_halt,
        n_voids_no_trade, n_voids_feed, n_bars, bar_return, bar_square, turnover, n_common, common_pinball,
        common_calibrated_pinball, baseline_pinball, pinball_gap_square, common_interval_score,
        baseline_interval_score, n_common_crps, common_crps, common_calibrated_crps, baseline_crps
    )
    SELECT
        symbol, interval, model_name, record, step, max(last_target_at),
        sum(n), sum(n_moves), sum(n_hits), sum(n_ups), sum(n_signals_up), sum(n_inside), sum(n_below), sum(n_above),
        sum(n_raw_inside), sum(n_raw_below), sum(n_raw_above), sum(n_crps), sum(n_brier), sum(pinball),
        sum(calibrated_pinball), sum(interval_score), sum(raw_interval_score), sum(width), sum(raw_width),
        sum(abs_error), sum(crps), sum(calibrated_crps), sum(brier), sum(calibrated_brier), sum(n_voids),
        sum(n_voids_closed), sum(n_voids_no_bar), sum(n_voids_halt), sum(n_voids_no_trade), sum(n_voids_feed),
        sum(n_bars), sum(bar_return), sum(bar_square), sum(turnover), sum(n_common), sum(common_pinball),
        sum(common_calibrated_pinball), sum(baseline_pinball), sum(pinball_gap_square), sum(common_interval_score),
        sum(baseline_interval_score), sum(n_common_crps), sum(common_crps), sum(common_calibrated_crps),
        sum(baseline_crps)
    FROM added
    GROUP BY symbol, interval, model_name, record, step
    ON CONFLICT (symbol, interval, model_name, record, step) DO UPDATE
    SET last_target_at = greatest(old.last_target_at, excluded.last_target_at),
        n = old.n + excluded.n,
        n_moves = old.n_moves + excluded.n_moves,
        n_hits = old.n_hits + excluded.n_hits,
        n_ups = old.n_ups + excluded.n_ups,
        n_signals_up = old.n_signals_up + excluded.n_signals_up,
        n_inside = old.n_inside + excluded.n_inside,
        n_below = old.n_below + excluded.n_below,
        n_above = old.n_above + excluded.n_above,
        n_raw_inside = old.n_raw_inside + excluded.n_raw_inside,
        n_raw_below = old.n_raw_below + excluded.n_raw_below,
        n_raw_above = old.n_raw_above + excluded.n_raw_above,
        n_crps = old.n_crps + excluded.n_crps,
        n_brier = old.n_brier + excluded.n_brier,
        pinball = old.pinball + excluded.pinball,
        calibrated_pinball = old.calibrated_pinball + excluded.calibrated_pinball,
        interval_score = old.interval_score + excluded.interval_score,
        raw_interval_score = old.raw_interval_score + excluded.raw_interval_score,
        width = old.width + excluded.width,
        raw_width = old.raw_width + excluded.raw_width,
        abs_error = old.abs_error + excluded.abs_error,
        crps = old.crps + excluded.crps,
        calibrated_crps = old.calibrated_crps + excluded.calibrated_crps,
        brier = old.brier + excluded.brier,
        calibrated_brier = old.calibrated_brier + excluded.calibrated_brier,
        n_voids = old.n_voids + excluded.n_voids,
        n_voids_closed = old.n_voids_closed + excluded.n_voids_closed,
        n_voids_no_bar = old.n_voids_no_bar + excluded.n_voids_no_bar,
        n_voids_halt = old.n_voids_halt + excluded.n_voids_halt,
        n_voids_no_trade = old.n_voids_no_trade + excluded.n_voids_no_trade,
        n_voids_feed = old.n_voids_feed + excluded.n_voids_feed,
        n_bars = old.n_bars + excluded.n_bars,
        bar_return = old.bar_return + excluded.bar_return,
        bar_square = old.bar_square + excluded.bar_square,
        turnover = old.turnover + excluded.turnover,
        n_common = old.n_common + excluded.n_common,
        common_pinball = old.common_pinball + excluded.common_pinball,
        common_calibrated_pinball = old.common_calibrated_pinball + excluded.common_calibrated_pinball,
        baseline_pinball = old.baseline_pinball + excluded.baseline_pinball,
        pinball_gap_square = old.pinball_gap_square + excluded.pinball_gap_square,
        common_interval_score = old.common_interval_score + excluded.common_interval_score,
        baseline_interval_score = old.baseline_interval_score + excluded.baseline_interval_score,
        n_common_crps = old.n_common_crps + excluded.n_common_crps,
        common_crps = old.common_crps + excluded.common_crps,
        common_calibrated_crps = old.common_calibrated_crps + excluded.common_calibrated_crps,
        baseline_crps = old.baseline_crps + excluded.baseline_crps
)

SELECT count(*) AS n FROM days;
