-- keys_lock: let nobody else make or revoke a key before this transaction ends; readers are not disturbed.
--
-- Parameters  none
-- Read by     candlecast.store.keys.create_key

LOCK TABLE candlecast.api_keys IN SHARE ROW EXCLUSIVE MODE;
