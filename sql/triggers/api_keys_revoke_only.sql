CREATE TRIGGER revoke_only
BEFORE UPDATE ON candlecast.api_keys
FOR EACH ROW EXECUTE FUNCTION candlecast.keep_key();
