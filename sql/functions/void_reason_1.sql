-- void_reason: why a bar that is there may not judge a forecast; NULL when it may.
--
-- Parameters  the bar's state and source, and the feed that the forecast was issued from (NULL: none was pinned)
-- Called by   score_due, score_void, score_revised: the one place where these rules stand
--
-- Fixed before any forecast was issued, so that no outcome can be left out for what it is:
--   halt           trading was stopped; the price is that of before, and no forecast of prices is wrong or right by it
--   no trade       nobody traded; a close carried over rewards whoever forecasts nothing
--   no bar         the venue says that the bar does not exist (a bar that merely has not come is waited for, 7 days)
--   feed switched  the bar is of another source than the lookback; between two feeds a price moves without a market
-- The two other rules need no bar: 'target had closed' (the row was written too late) and 'no bar' after 7 days.

CREATE FUNCTION candlecast.void_reason(state text, source text, feed text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN CASE
    WHEN state = 'halt' THEN 'halt'
    WHEN state = 'no_trade' THEN 'no trade'
    WHEN state <> 'final' THEN 'no bar'
    WHEN feed <> source THEN 'feed switched'
END;

REVOKE ALL ON FUNCTION candlecast.void_reason(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION candlecast.void_reason(text, text, text) TO candlecast_writer;
