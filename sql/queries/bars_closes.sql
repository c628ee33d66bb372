-- bars_closes: the closes of some symbols since a moment, as they were known at a later one.
--
-- One row     arrays over all bars, symbol after symbol in the order asked for, oldest first; NULL where there is none
-- Parameters  symbols text[], interval text, since timestamptz, as_of timestamptz
-- Read by     candlecast.store.bars, for 1d with the table's name exchanged
-- Index       ohlcv_1h_symbol_closed_at_idx, ohlcv_revisions_pkey
--
-- What was known at a moment is decided as in bars_lookbacks.

SELECT
    array_agg(known.place) AS place,
    array_agg(known.closed_at) AS closed_at,
    array_agg(known.close) AS close
FROM (
    SELECT
        CAST(asked.place AS integer) AS place,
        bar.closed_at,
        coalesce(before.old_close, bar.close) AS close
    FROM unnest(CAST(:symbols AS text [])) WITH ORDINALITY AS asked (symbol, place)
    INNER JOIN candlecast.instruments AS instrument ON instrument.symbol = asked.symbol
    INNER JOIN candlecast.ohlcv_1h AS bar ON bar.symbol = asked.symbol
    LEFT JOIN LATERAL (
        SELECT revision.old_close
        FROM candlecast.ohlcv_revisions AS revision
        WHERE revision.symbol = asked.symbol
          AND revision.interval = :interval
          AND revision.ts = bar.ts
          AND revision.revised_at > CAST(:as_of AS timestamptz)
        ORDER BY revision.revised_at
        LIMIT 1
    ) AS before ON TRUE
    WHERE bar.closed_at > CAST(:since AS timestamptz)
      AND bar.closed_at <= CAST(:as_of AS timestamptz) - make_interval(secs => instrument.settle_s)
      AND bar.first_seen <= CAST(:as_of AS timestamptz)
    ORDER BY asked.place, bar.closed_at
) AS known;
