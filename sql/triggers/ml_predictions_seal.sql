CREATE TRIGGER seal
BEFORE INSERT ON candlecast.ml_predictions
FOR EACH ROW EXECUTE FUNCTION candlecast.seal_prediction();
