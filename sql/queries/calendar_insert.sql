-- calendar_insert: add the vintages that say something new.
--
-- One row     the counts of one call
-- Parameters  arrays of one length: entry_id, known_at, ts, currency, family, event, impact, forecast, previous, actual,
--             forecast_text, previous_text, actual_text, source, symbol
-- Read by     candlecast.store.calendar
-- Index       economic_calendar_pkey
--
-- A vintage that says what the one before it said, stored or incoming, is not stored: a feed that is asked every
-- hour adds a row only when something moved. One that contradicts a stored vintage of the same moment is counted
-- and left out: rows are never edited.

WITH incoming AS (
    SELECT *
    FROM unnest(
        CAST(:entry_id AS text []),
        CAST(:known_at AS timestamptz []),
        CAST(:ts AS timestamptz []),
        CAST(:currency AS text []),
        CAST(:family AS text []),
        CAST(:event AS text []),
        CAST(:impact AS text []),
        CAST(:forecast AS double precision []),
        CAST(:previous AS double precision []),
        CAST(:actual AS double precision []),
        CAST(:forecast_text AS text []),
        CAST(:previous_text AS text []),
        CAST(:actual_text AS text []),
        CAST(:source AS text []),
        CAST(:symbol AS text [])
    ) AS given (
        entry_id, known_at, ts, currency, family, event, impact, forecast, previous, actual,
        forecast_text, previous_text, actual_text, source, symbol
    )
),

told AS (
    SELECT incoming.*, TRUE AS is_incoming
    FROM incoming
    UNION ALL
    SELECT
        stored.entry_id, stored.known_at, stored.ts, stored.currency, stored.family, stored.event, stored.impact,
        stored.forecast, stored.previous, stored.actual,
        stored.forecast_text, stored.previous_text, stored.actual_text, stored.source, stored.symbol,
        FALSE AS is_incoming
    FROM candlecast.economic_calendar AS stored
    WHERE stored.entry_id IN (SELECT incoming.entry_id FROM incoming)
),

compared AS (
    SELECT
        told.*,
        row(
            ts, currency, family, event, impact, forecast, previous, actual,
            forecast_text, previous_text, actual_text, symbol
        ) IS NOT DISTINCT FROM lag(
            row(
                ts, currency, family, event, impact, forecast, previous, actual,
                forecast_text, previous_text, actual_text, symbol
            )
        ) OVER (PARTITION BY entry_id ORDER BY known_at, is_incoming) AS is_repeated
    FROM told
),

placed AS (
    INSERT INTO candlecast.economic_calendar (
        entry_id, known_at, ts, currency, family, event, impact, forecast, previous, actual,
        forecast_text, previous_text, actual_text, source, symbol
    )
    SELECT
        entry_id, known_at, ts, currency, family, event, impact, forecast, previous, actual,
        forecast_text, previous_text, actual_text, source, symbol
    FROM compared
    WHERE is_incoming AND NOT is_repeated
    ON CONFLICT (entry_id, known_at) DO NOTHING
    RETURNING entry_id
)

SELECT
    (SELECT count(*) FROM placed) AS n_inserted,
    (SELECT count(*) FROM compared WHERE is_incoming AND is_repeated) AS n_unchanged;
