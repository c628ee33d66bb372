-- gateway_keys: the keys that may open something, small enough to be asked every few seconds.
--
-- One row     one key that is not revoked and not expired
-- Parameters  none
-- Read by     gateway.access

SELECT key_id, name, digest, created_at, expires_at, revoked_at
FROM candlecast.api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());
