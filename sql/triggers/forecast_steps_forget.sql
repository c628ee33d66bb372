CREATE TRIGGER forget_calibration
AFTER INSERT ON candlecast.forecast_steps
REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT EXECUTE FUNCTION candlecast.forget_by_steps();
