-- keys_revoke: end a key that was not revoked before.
--
-- One row     the key, as it is now; none when there is no such key, or it was revoked already
-- Parameters  key_id text
-- Read by     candlecast.store.keys.revoke_key

UPDATE candlecast.api_keys
SET revoked_at = now()
WHERE key_id = :key_id AND revoked_at IS NULL
RETURNING key_id, name, digest, created_at, expires_at, revoked_at;
