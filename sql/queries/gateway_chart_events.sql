-- gateway_chart_events: the releases of a span of time that a chart marks, as they were known at a moment.
--
-- One row     one entry of the calendar: its newest vintage known by then, unless it was withdrawn
-- Parameters  since timestamptz, until timestamptz, known_by timestamptz, families text[], withdrawn text: the impact
--             that says an entry was taken off the calendar
-- Read by     gateway.content.chart
-- Index       economic_calendar_ts_idx, economic_calendar_pkey

SELECT vintage.ts, vintage.family, vintage.event, vintage.currency, vintage.impact, vintage.actual, vintage.forecast
FROM (
    SELECT DISTINCT entry.entry_id
    FROM candlecast.economic_calendar AS entry
    WHERE entry.ts >= :since
      AND entry.ts <= :until
      AND entry.family = ANY (CAST(:families AS text[]))
      AND entry.known_at <= :known_by
) AS listed
CROSS JOIN LATERAL (
    SELECT newest.*
    FROM candlecast.economic_calendar AS newest
    WHERE newest.entry_id = listed.entry_id
      AND newest.known_at <= :known_by
    ORDER BY newest.known_at DESC
    LIMIT 1
) AS vintage
WHERE vintage.ts >= :since
  AND vintage.ts <= :until
  AND vintage.family = ANY (CAST(:families AS text[]))
  AND vintage.impact <> :withdrawn
ORDER BY vintage.ts, vintage.event, vintage.entry_id;
