CREATE TRIGGER append_only
BEFORE UPDATE OR DELETE OR TRUNCATE ON candlecast.ml_predictions
FOR EACH STATEMENT EXECUTE FUNCTION candlecast.refuse_change();
