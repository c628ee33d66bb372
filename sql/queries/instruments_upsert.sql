-- instruments_upsert: make the table agree with the instruments file, for the symbols that the file names.
--
-- One row     a symbol that was new (inserted) or differed (not inserted); equal ones are not touched
-- Parameters  rows jsonb, an array of objects with every column but updated_at
-- Read by     candlecast.store.instruments

INSERT INTO candlecast.instruments AS known (
    symbol, name, asset_class, calendar, provider, provider_symbol, quote_asset, forecast, leader, enabled,
    negative_prices, settle_s
)
SELECT
    given.symbol, given.name, given.asset_class, given.calendar, given.provider, given.provider_symbol,
    given.quote_asset, given.forecast, given.leader, given.enabled, given.negative_prices, given.settle_s
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
    symbol text, name text, asset_class text, calendar text, provider text, provider_symbol text, quote_asset text,
    forecast boolean, leader text, enabled boolean, negative_prices boolean, settle_s integer
)
ON CONFLICT (symbol) DO UPDATE SET
    name = excluded.name,
    asset_class = excluded.asset_class,
    calendar = excluded.calendar,
    provider = excluded.provider,
    provider_symbol = excluded.provider_symbol,
    quote_asset = excluded.quote_asset,
    forecast = excluded.forecast,
    leader = excluded.leader,
    enabled = excluded.enabled,
    negative_prices = excluded.negative_prices,
    settle_s = excluded.settle_s,
    updated_at = now()
WHERE (
    known.name, known.asset_class, known.calendar, known.provider, known.provider_symbol, known.quote_asset,
    known.forecast, known.leader, known.enabled, known.negative_prices, known.settle_s
) IS DISTINCT FROM (
    excluded.name, excluded.asset_class, excluded.calendar, excluded.provider, excluded.provider_symbol,
    excluded.quote_asset, excluded.forecast, excluded.leader, excluded.enabled, excluded.negative_prices,
    excluded.settle_s
)
RETURNING known.symbol, (xmax = 0) AS inserted;
