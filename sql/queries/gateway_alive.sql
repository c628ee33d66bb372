-- gateway_alive: whether the database answers at all.
--
-- One row     one constant
-- Parameters  none
-- Read by     gateway.patience

SELECT 1 AS alive;
