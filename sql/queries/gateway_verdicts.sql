-- gateway_verdicts: each model beside the baseline, as the scorer last judged it.
--
-- One row     one cell: (record, interval, model_name, asset_class, step); asset_class 'all' and step 0 are pooled
-- Parameters  none
-- Read by     gateway.content.verdicts

SELECT
    record, interval, model_name, asset_class, step, verdict, skill, low, high, p_value, q_value, cs_low, cs_high,
    e_value, n_common, n_forecasts, n_symbols, n_pairs, n_days, n_eff, days_to_decision, n_cells, first_day, last_day,
    as_of
FROM candlecast.skill_verdicts
ORDER BY
    model_name,
    interval = '1d',
    array_position(ARRAY['live', 'late', 'replay', 'synthetic'], record),
    asset_class <> 'all', asset_class,
    step;
