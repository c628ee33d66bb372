-- keep_key: the one change that a key's row allows is to be revoked, once.
--
-- One call    one row of api_keys about to be updated
--
-- So who had access, and from when to when, stays on record.

CREATE FUNCTION candlecast.keep_key()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL
       OR (NEW.key_id, NEW.name, NEW.digest, NEW.created_at) <> (OLD.key_id, OLD.name, OLD.digest, OLD.created_at)
       OR NEW.expires_at IS DISTINCT FROM OLD.expires_at
    THEN
        RAISE EXCEPTION 'candlecast.api_keys: a key can only be revoked, once'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Make another key, and revoke this one.';
    END IF;
    RETURN NEW;
END
$$;
