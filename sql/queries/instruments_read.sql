-- instruments_read: every instrument.
--
-- One row     an instrument, in the order of their symbols
-- Read by     candlecast.store.instruments

SELECT
    symbol, name, asset_class, calendar, provider, provider_symbol, quote_asset, forecast, leader, enabled,
    negative_prices, settle_s
FROM candlecast.instruments
ORDER BY symbol;
