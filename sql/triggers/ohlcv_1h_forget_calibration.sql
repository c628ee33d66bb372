CREATE TRIGGER forget_calibration
AFTER INSERT ON candlecast.ohlcv_1h
REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT EXECUTE FUNCTION candlecast.forget_by_bars('1h');
