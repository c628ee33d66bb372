-- seal_rows: the row hashes of what was recorded in a span of time, in the order of the leaves.
--
-- One row     one forecast
-- Parameters  start timestamptz, stop timestamptz: from start on, before stop
-- Read by     candlecast.store.sealing
--
-- COLLATE "C" orders by the bytes of UTF-8, as whoever checks the seal does, whatever the database's own order.

SELECT prediction_id, row_hash
FROM candlecast.ml_predictions
WHERE recorded_at >= :start AND recorded_at < :stop
ORDER BY model_name COLLATE "C", interval COLLATE "C", chain_seq;
