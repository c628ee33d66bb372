-- calendar_as_of: every vintage, known by a moment, of the entries that matter to events.
--
-- One row     arrays over all vintages, entry after entry, oldest first; NULL where there is none, NaN for no number
-- Parameters  as_of timestamptz, since timestamptz, surprises_since timestamptz
-- Read by     candlecast.store.calendar
-- Index       economic_calendar_ts_idx, economic_calendar_pkey
--
-- An entry matters if, in any vintage known by then, it was placed at or after `since` and is of high impact or of a
-- family that has a channel, or if it is an older release that surprises are measured by. All its vintages are
-- read, not only the newest: each bar of a lookback sees the one of its own time.

SELECT
    array_agg(known.entry_id) AS entry_id,
    array_agg(known.known_at) AS known_at,
    array_agg(known.ts) AS ts,
    array_agg(known.currency) AS currency,
    array_agg(known.family) AS family,
    array_agg(known.event) AS event,
    array_agg(known.impact) AS impact,
    array_agg(coalesce(known.forecast, 'NaN')) AS forecast,
    array_agg(coalesce(known.previous, 'NaN')) AS previous,
    array_agg(coalesce(known.actual, 'NaN')) AS actual,
    array_agg(known.source) AS source,
    array_agg(known.symbol) AS symbol
FROM (
    SELECT vintage.*
    FROM candlecast.economic_calendar AS vintage
    WHERE vintage.known_at <= :as_of
      AND vintage.entry_id IN (
          SELECT entry.entry_id
          FROM candlecast.economic_calendar AS entry
          WHERE entry.known_at <= :as_of
            AND (
                (entry.ts >= :since AND (entry.family IS NOT NULL OR entry.impact = 'High'))
                OR (entry.ts >= :surprises_since AND entry.family IN ('CPI', 'NFP'))
            )
      )
    ORDER BY vintage.entry_id, vintage.known_at
) AS known;
