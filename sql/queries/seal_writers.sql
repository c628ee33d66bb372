-- seal_writers: transactions that may have appended forecasts and have not ended yet.
--
-- One row     one transaction that holds the lock of a writer on ml_predictions
-- Read by     candlecast.store.sealing
--
-- recorded_at is set while the lock is held, and the lock is held until the transaction ends: when every transaction
-- that held it after midnight is gone, no row of the day before can appear any more.

SELECT DISTINCT virtualtransaction
FROM pg_catalog.pg_locks
WHERE locktype = 'relation'
  AND relation = 'candlecast.ml_predictions'::regclass
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND pid IS DISTINCT FROM pg_backend_pid();
