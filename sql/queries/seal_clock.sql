-- seal_clock: the database's clock, and whether this is the server that writes.
--
-- One row     always one
-- Read by     candlecast.store.sealing

SELECT clock_timestamp() AS now, pg_is_in_recovery() AS is_replica;
