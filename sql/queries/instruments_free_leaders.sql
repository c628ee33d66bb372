-- instruments_free_leaders: take a leader's name from whoever holds it while the file gives it to another symbol.
--
-- Parameters  rows jsonb, an array of objects with symbol and leader
-- Read by     candlecast.store.instruments, before instruments_upsert: leaders are unique row by row

UPDATE candlecast.instruments AS known
SET leader = NULL, updated_at = now()
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (symbol text, leader text)
WHERE given.leader = known.leader
  AND given.symbol <> known.symbol;
