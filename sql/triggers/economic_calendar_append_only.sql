CREATE TRIGGER append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON candlecast.economic_calendar
FOR EACH STATEMENT EXECUTE FUNCTION candlecast.refuse_change();
