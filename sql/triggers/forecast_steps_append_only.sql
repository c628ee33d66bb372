CREATE TRIGGER append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON candlecast.forecast_steps
FOR EACH STATEMENT EXECUTE FUNCTION candlecast.refuse_change();
