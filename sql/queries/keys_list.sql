-- keys_list: every key that was ever made, the newest last.
--
-- One row     one key; `now` is the database's clock, by which keys expire
-- Parameters  none
-- Read by     candlecast.store.keys.list_keys

SELECT key_id, name, digest, created_at, expires_at, revoked_at, now() AS now
FROM candlecast.api_keys
ORDER BY created_at, key_id;
