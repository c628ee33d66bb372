-- keys_insert: put a new key on record.
--
-- One row     the key, as it was written
-- Parameters  key_id text, name text, digest bytea, expires_at timestamptz
-- Read by     candlecast.store.keys.create_key

INSERT INTO candlecast.api_keys (key_id, name, digest, expires_at)
VALUES (:key_id, :name, :digest, :expires_at)
RETURNING key_id, name, digest, created_at, expires_at, revoked_at;
