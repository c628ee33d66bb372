-- record_of: which record a forecast belongs to. They are scored alike and never mixed.
--
-- Synthetic bars make a synthetic record, however the forecast was made.

CREATE FUNCTION candlecast.record_of(status text, synthetic boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN CASE WHEN synthetic THEN 'synthetic' WHEN status = 'on_time' THEN 'live' ELSE status END;

REVOKE ALL ON FUNCTION candlecast.record_of(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION candlecast.record_of(text, boolean) TO candlecast_writer;
