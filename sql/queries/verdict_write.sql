-- verdict_write: the verdicts that were judged together, in place of those before.
--
-- Parameters  one value per column of skill_verdicts; run once per row, after the old ones were removed in the same transaction
-- Read by     candlecast.store.verdicts

INSERT INTO candlecast.skill_verdicts (
    record, interval, model_name, asset_class, step, verdict, skill, low, high, p_value, q_value, cs_low, cs_high,
    e_value, n_common, n_forecasts, n_symbols, n_pairs, n_days, n_eff, days_to_decision, n_cells, first_day, last_day,
    as_of
)
VALUES (
    :record, :interval, :model_name, :asset_class, :step, :verdict, :skill, :low, :high, :p_value, :q_value, :cs_low,
    :cs_high, :e_value, :n_common, :n_forecasts, :n_symbols, :n_pairs, :n_days, :n_eff, :days_to_decision, :n_cells,
    :first_day, :last_day, :as_of
);
