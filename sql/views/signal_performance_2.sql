-- signal_performance: how good the forecasts have been, with what one may make of it.
--
-- One row     a model on a symbol at a step, in a record and a window:
--             unique on (symbol, interval, model_name, record, step, window)
-- Read by     gateway; refreshed by candlecast.refresh_signal_performance()
-- Index       score_days_pkey: (symbol, interval, record, step, day, model_name)
--
-- A window ends with the newest judged day of its interval and record, told by as_of; live, that is today. The window
-- 'all' comes from totals that are kept along, the others read 90 days at most: a refresh costs the same after
-- three years as after one.
--
-- Losses and width are means in sigmas at issue. coverage, below, above, interval_score and width are those of the band
-- that was served; raw_ names the band as the model gave it. pinball and crps are the model's, calibrated_ those of
-- what was served. brier is that of the probability of a rise, over the pairs whose outcome moved.
--
-- Forecasts of h steps overlap, so n of them are worth n_eff = n / D with D = 0.46 h / spacing, at least 1: the
-- variance inflation of overlapping hits (0.46 h for a forecast on every bar). spacing is the mean distance between issues in
-- bars, n_bars / n: the bars on which a signal was live over the forecasts. Forecasts issued less often overlap less.
-- All intervals use n_eff. skill compares mean pinball losses, crps_skill mean CRPS, interval_skill mean interval
-- scores of the served bands, each over the rows that both the model and the baseline were scored on; calibrated_ names
-- the skill of what was served. skill_se takes the baseline's mean as known. sharpe is annual, gross of costs, of the
-- calendar-time portfolio; from 30 bars on; its standard error is that of independent returns (Lo 2002). turnover is
-- the mean change of its position per bar, so that a cost of c a unit traded takes c times turnover off each return.

WITH newest AS (
    SELECT totals.interval, totals.record, max(totals.last_target_at) AS as_of
    FROM candlecast.score_totals AS totals
    GROUP BY totals.interval, totals.record
),

sums AS (
    SELECT
        totals.symbol, totals.interval, totals.model_name, totals.record, totals.step, 'all' AS "window", newest.as_of,
        totals.n, totals.n_moves, totals.n_hits, totals.n_ups, totals.n_signals_up, totals.n_inside, totals.n_below,
        totals.n_above, totals.n_raw_inside, totals.n_raw_below, totals.n_raw_above, totals.n_crps, totals.n_brier,
        totals.n_voids, totals.n_voids_closed, totals.n_voids_no_bar, totals.n_voids_halt, totals.n_voids_no_trade,
        totals.n_voids_feed, totals.n_bars, totals.n_common, totals.n_common_crps, totals.pinball,
        totals.calibrated_pinball, totals.interval_score, totals.raw_interval_score, totals.width, totals.raw_width,
        totals.abs_error, totals.crps, totals.calibrated_crps, totals.brier, totals.calibrated_brier,
        totals.bar_return, totals.bar_square, totals.turnover, totals.common_pinball,
        totals.common_calibrated_pinball, totals.baseline_pinball, totals.pinball_gap_square, totals.common_crps,
        totals.common_calibrated_crps, totals.baseline_crps, totals.common_interval_score,
        totals.baseline_interval_score
    FROM candlecast.score_totals AS totals
    INNER JOIN newest ON newest.interval = totals.interval AND newest.record = totals.record

    UNION ALL

    SELECT
        series.symbol, series.interval, recent.model_name, series.record, series.step, span.name, newest.as_of,
        recent.n, recent.n_moves, recent.n_hits, recent.n_ups, recent.n_signals_up, recent.n_inside, recent.n_below,
        recent.n_above, recent.n_raw_inside, recent.n_raw_below, recent.n_raw_above, recent.n_crps, recent.n_brier,
        recent.n_voids, recent.n_voids_closed, recent.n_voids_no_bar, recent.n_voids_halt, recent.n_voids_no_trade,
        recent.n_voids_feed, recent.n_bars, recent.n_common, recent.n_common_crps, recent.pinball,
        recent.calibrated_pinball, recent.interval_score, recent.raw_interval_score, recent.width, recent.raw_width,
        recent.abs_error, recent.crps, recent.calibrated_crps, recent.brier, recent.calibrated_brier,
        recent.bar_return, recent.bar_square, recent.turnover, recent.common_pinball,
        recent.common_calibrated_pinball, recent.baseline_pinball, recent.pinball_gap_square, recent.common_crps,
        recent.common_calibrated_crps, recent.baseline_crps, recent.common_interval_score,
        recent.baseline_interval_score
    FROM (SELECT DISTINCT symbol, interval, record, step FROM candlecast.score_totals) AS series
    INNER JOIN newest ON newest.interval = series.interval AND newest.record = series.record
    CROSS JOIN (VALUES ('30d', 30), ('90d', 90)) AS span (name, n_days)
    -- One range of the key a series, whatever the table has grown to.
    CROSS JOIN LATERAL (
        SELECT
            days.model_name,
            sum(days.n)::bigint AS n, sum(days.n_moves)::bigint AS n_moves, sum(days.n_hits)::bigint AS n_hits,
            sum(days.n_ups)::bigint AS n_ups, sum(days.n_signals_up)::bigint AS n_signals_up,
            sum(days.n_inside)::bigint AS n_inside, sum(days.n_below)::bigint AS n_below,
            sum(days.n_above)::bigint AS n_above, sum(days.n_raw_inside)::bigint AS n_raw_inside,
            sum(days.n_raw_below)::bigint AS n_raw_below, sum(days.n_raw_above)::bigint AS n_raw_above,
            sum(days.n_crps)::bigint AS n_crps, sum(days.n_brier)::bigint AS n_brier,
            sum(days.n_voids)::bigint AS n_voids, sum(days.n_voids_closed)::bigint AS n_voids_closed,
            sum(days.n_voids_no_bar)::bigint AS n_voids_no_bar, sum(days.n_voids_halt)::bigint AS n_voids_halt,
            sum(days.n_voids_no_trade)::bigint AS n_voids_no_trade, sum(days.n_voids_feed)::bigint AS n_voids_feed,
            sum(days.n_bars)::bigint AS n_bars, sum(days.n_common)::bigint AS n_common,
            sum(days.n_common_crps)::bigint AS n_common_crps, sum(days.pinball) AS pinball,
            sum(days.calibrated_pinball) AS calibrated_pinball, sum(days.interval_score) AS interval_score,
            sum(days.raw_interval_score) AS raw_interval_score, sum(days.width) AS width,
            sum(days.raw_width) AS raw_width, sum(days.abs_error) AS abs_error, sum(days.crps) AS crps,
            sum(days.calibrated_crps) AS calibrated_crps, sum(days.brier) AS brier,
            sum(days.calibrated_brier) AS calibrated_brier, sum(days.bar_return) AS bar_return,
            sum(days.bar_square) AS bar_square, sum(days.turnover) AS turnover,
            sum(days.common_pinball) AS common_pinball,
            sum(days.common_calibrated_pinball) AS common_calibrated_pinball,
            sum(days.baseline_pinball) AS baseline_pinball, sum(days.pinball_gap_square) AS pinball_gap_square,
            sum(days.common_crps) AS common_crps, sum(days.common_calibrated_crps) AS common_calibrated_crps,
            sum(days.baseline_crps) AS baseline_crps, sum(days.common_interval_score) AS common_interval_score,
            sum(days.baseline_interval_score) AS baseline_interval_score
        FROM candlecast.score_days AS days
        WHERE days.symbol = series.symbol
          AND days.interval = series.interval
          AND days.record = series.record
          AND days.step = series.step
          AND days.day > (newest.as_of AT TIME ZONE 'UTC')::date - span.n_days
          AND days.day <= (newest.as_of AT TIME ZONE 'UTC')::date
        GROUP BY days.model_name
    ) AS recent
),

-- Bars in a year: around the clock; 24 hours on 5 days in 52 weeks; 7 hourly bars in each of 252 sessions.
years (asset_class, interval, n_bars) AS (
    VALUES
        ('crypto', '1h', 8760), ('crypto', '1d', 365),
        ('forex_commodity', '1h', 6240), ('forex_commodity', '1d', 260),
        ('equity', '1h', 1764), ('equity', '1d', 252)
),

spaced AS (
    SELECT
        sums.*,
        -- Without bars nothing is known of the spacing, and one forecast a bar is the careful guess.
        greatest(
            1.0, 0.46 * sums.step * least(1.0, coalesce(sums.n::double precision / nullif(sums.n_bars, 0), 1.0))
        )::double precision AS overlap
    FROM sums
),

means AS (
    SELECT
        sums.symbol, instruments.asset_class, sums.interval, sums.model_name, sums.record, sums.step, sums."window",
        sums.as_of, sums.n, sums.n_voids, sums.n_moves, sums.n_crps, sums.n_brier, sums.n_common, sums.n_bars,
        sums.overlap,
        sums.n_moves / sums.overlap AS n_moves_eff,
        sums.n_hits::double precision / nullif(sums.n_moves, 0) AS hit_rate,
        greatest(sums.n_ups, sums.n_moves - sums.n_ups)::double precision / nullif(sums.n_moves, 0) AS naive_hit_rate,
        sums.n_signals_up::double precision / nullif(sums.n_moves, 0) AS signals_up,
        sums.n_inside::double precision / nullif(sums.n, 0) AS coverage,
        sums.n_below::double precision / nullif(sums.n, 0) AS below,
        sums.n_above::double precision / nullif(sums.n, 0) AS above,
        sums.n_raw_inside::double precision / nullif(sums.n, 0) AS raw_coverage,
        sums.n_raw_below::double precision / nullif(sums.n, 0) AS raw_below,
        sums.n_raw_above::double precision / nullif(sums.n, 0) AS raw_above,
        sums.pinball / nullif(sums.n, 0) AS pinball,
        sums.calibrated_pinball / nullif(sums.n, 0) AS calibrated_pinball,
        sums.interval_score / nullif(sums.n, 0) AS interval_score,
        sums.raw_interval_score / nullif(sums.n, 0) AS raw_interval_score,
        sums.width / nullif(sums.n, 0) AS width,
        sums.raw_width / nullif(sums.n, 0) AS raw_width,
        sums.abs_error / nullif(sums.n, 0) AS abs_error,
        sums.crps / nullif(sums.n_crps, 0) AS crps,
        sums.calibrated_crps / nullif(sums.n_crps, 0) AS calibrated_crps,
        sums.brier / nullif(sums.n_brier, 0) AS brier,
        sums.calibrated_brier / nullif(sums.n_brier, 0) AS calibrated_brier,
        sums.turnover / nullif(sums.n_bars, 0) AS turnover,
        1.0 - sums.common_pinball / nullif(sums.baseline_pinball, 0.0) AS skill,
        1.0 - sums.common_crps / nullif(sums.baseline_crps, 0.0) AS crps_skill,
        1.0 - sums.common_calibrated_crps / nullif(sums.baseline_crps, 0.0) AS calibrated_crps_skill,
        1.0 - sums.common_interval_score / nullif(sums.baseline_interval_score, 0.0) AS interval_skill,
        sums.baseline_pinball / nullif(sums.n_common, 0) AS common_baseline,
        sums.pinball_gap_square / nullif(sums.n_common, 0)
            - ((sums.baseline_pinball - sums.common_pinball) / nullif(sums.n_common, 0)) ^ 2 AS gap_variance,
        jsonb_strip_nulls(jsonb_build_object(
            'target had closed', nullif(sums.n_voids_closed, 0),
            'no bar', nullif(sums.n_voids_no_bar, 0),
            'halt', nullif(sums.n_voids_halt, 0),
            'no trade', nullif(sums.n_voids_no_trade, 0),
            'feed switched', nullif(sums.n_voids_feed, 0)
        )) AS voids,
        years.n_bars AS bars_per_year,
        sums.bar_return / nullif(sums.n_bars, 0) AS bar_mean,
        CASE
            WHEN sums.n_bars >= 30
            THEN (sums.bar_square - sums.bar_return ^ 2 / sums.n_bars) / (sums.n_bars - 1)
        END AS bar_variance,
        sums.bar_square
    FROM spaced AS sums
    INNER JOIN candlecast.instruments ON instruments.symbol = sums.symbol
    INNER JOIN years ON years.asset_class = instruments.asset_class AND years.interval = sums.interval
),

ratios AS (
    SELECT
        means.*,
        -- A portfolio that never moved has a variance of rounding errors, and no ratio.
        CASE
            WHEN means.bar_variance * means.n_bars > 1e-12 * means.bar_square
            THEN means.bar_mean / sqrt(means.bar_variance)
        END AS bar_sharpe,
        1.959963984540054 ^ 2 / nullif(means.n_moves_eff, 0) AS wilson
    FROM means
)

SELECT
    symbol, asset_class, interval, model_name, record, step, "window",
    n, n / overlap AS n_eff, n_voids, voids,
    n_moves, hit_rate, naive_hit_rate, signals_up,
    (hit_rate + wilson / 2 - sqrt(wilson * (hit_rate * (1 - hit_rate) + wilson / 4))) / (1 + wilson) AS hit_rate_low,
    (hit_rate + wilson / 2 + sqrt(wilson * (hit_rate * (1 - hit_rate) + wilson / 4))) / (1 + wilson) AS hit_rate_high,
    coverage, below, above, raw_coverage, raw_below, raw_above,
    pinball, calibrated_pinball, interval_score, raw_interval_score, width, raw_width, abs_error,
    crps, calibrated_crps, n_crps, brier, calibrated_brier, n_brier,
    CASE WHEN model_name <> 'baseline-rw' THEN skill END AS skill,
    CASE
        WHEN model_name <> 'baseline-rw' AND n_common >= 2 AND common_baseline > 0
        THEN sqrt(greatest(gap_variance, 0) * overlap / n_common) / common_baseline
    END AS skill_se,
    CASE WHEN model_name <> 'baseline-rw' THEN crps_skill END AS crps_skill,
    CASE WHEN model_name <> 'baseline-rw' THEN calibrated_crps_skill END AS calibrated_crps_skill,
    CASE WHEN model_name <> 'baseline-rw' THEN interval_skill END AS interval_skill,
    n_common,
    bar_sharpe * sqrt(bars_per_year) AS sharpe,
    sqrt((1 + bar_sharpe ^ 2 / 2) / n_bars * bars_per_year) AS sharpe_se,
    turnover, n_bars, bars_per_year,
    as_of, now() AS updated_at
FROM ratios
