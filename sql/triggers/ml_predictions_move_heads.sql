CREATE TRIGGER move_heads
AFTER INSERT ON candlecast.ml_predictions
REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT EXECUTE FUNCTION candlecast.move_ledger_heads();
