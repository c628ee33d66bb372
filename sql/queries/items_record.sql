-- items_record: what became of each instrument of a run, one statement for all of them.
--
-- Parameters  run_id bigint, items jsonb: [{symbol, model_name, outcome, reason, ms}]
-- Read by     candlecast.store.runs.record_items

INSERT INTO candlecast.job_items (run_id, symbol, model_name, outcome, reason, ms)
SELECT :run_id, item.symbol, item.model_name, item.outcome, item.reason, item.ms
FROM jsonb_to_recordset(CAST(:items AS jsonb))
    AS item (symbol text, model_name text, outcome text, reason text, ms double precision)
ON CONFLICT (run_id, symbol, model_name) DO UPDATE
SET outcome = excluded.outcome, reason = excluded.reason, ms = excluded.ms;
