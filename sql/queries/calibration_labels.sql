-- calibration_labels: what a model said at its judged steps and what came, for outcomes that became known in given spans.
--
-- One row     arrays over the labels, in no order; `place` says in which span (from 0) each became known
-- Parameters  interval text, model_name text, void_after interval, tick interval; and by span: synthetic boolean[], after
--             timestamptz[], upto timestamptz[]: known later than the one and not later than the other
-- Read by     candlecast.store.calibration, for 1d with the table's name exchanged
-- Index       ohlcv_1h_symbol_closed_at_idx, one range a symbol; ohlcv_revisions_pkey and forecast_steps_target_idx, one
--             probe a bar that became known
--
-- An outcome is known when its bar had closed, had settled, and had arrived; from there to the next full tick it waits,
-- so that a bar teaches the same whether it came at once, as from an archive, or with the hour's import. It is the close
-- that the bar had at that tick: what a later correction says teaches nothing, so a state never depends on when it was
-- computed. What the scorer would leave out (void_reason; a target that had closed when the forecast was written; a bar that came too late)
-- is no label. Revisions do not keep the state of a bar; it follows from its numbers, as it does at the import.

SELECT
    array_agg(label.place) AS place,
    array_agg(label.symbol) AS symbol,
    array_agg(label.step) AS step,
    array_agg(label.issued_at) AS issued_at,
    array_agg(label.known_at) AS known_at,
    array_agg(label.last_close) AS last_close,
    array_agg(label.fan) AS fan,
    array_agg(label.outcome) AS outcome
FROM (
    SELECT
        CAST(asked.place AS integer) - 1 AS place,
        said.symbol,
        said.step,
        said.issued_at,
        known.at AS known_at,
        said.last_close,
        said.fan,
        coalesce(before.old_close, bar.close) AS outcome
    FROM unnest(CAST(:synthetic AS boolean []), CAST(:after AS timestamptz []), CAST(:upto AS timestamptz []))
        WITH ORDINALITY AS asked (synthetic, after, upto, place)
    CROSS JOIN candlecast.instruments AS instrument
    -- OFFSET 0 keeps the planner at one probe a bar, whatever it believes about tables that were just filled.
    CROSS JOIN LATERAL (
        SELECT
            bars.ts, bars.closed_at, bars.close, bars.state, bars.source,
            greatest(bars.closed_at + make_interval(secs => instrument.settle_s), bars.first_seen) AS known_at
        FROM candlecast.ohlcv_1h AS bars
        WHERE bars.symbol = instrument.symbol
          AND bars.closed_at > asked.after - CAST(:void_after AS interval) - CAST(:tick AS interval)
          AND bars.closed_at <= asked.upto
        OFFSET 0
    ) AS bar
    CROSS JOIN LATERAL (
        SELECT date_bin(
            CAST(:tick AS interval),
            bar.known_at + CAST(:tick AS interval) - INTERVAL '1 microsecond',
            TIMESTAMPTZ '2000-01-01 00:00:00+00'
        ) AS at
    ) AS known
    LEFT JOIN LATERAL (
        SELECT
            revision.old_close,
            revision.old_source,
            CASE
                WHEN revision.old_volume = 0 AND revision.old_high = revision.old_low THEN 'no_trade'
                ELSE 'final'
            END AS old_state
        FROM candlecast.ohlcv_revisions AS revision
        WHERE revision.symbol = instrument.symbol
          AND revision.interval = :interval
          AND revision.ts = bar.ts
          AND revision.revised_at > known.at
        ORDER BY revision.revised_at
        LIMIT 1
    ) AS before ON true
    CROSS JOIN LATERAL (
        SELECT steps.symbol, steps.step, steps.issued_at, steps.last_close, steps.fan, steps.feed
        FROM candlecast.forecast_steps AS steps
        WHERE steps.interval = :interval
          AND steps.model_name = :model_name
          AND steps.target_at = bar.closed_at
          AND steps.symbol = instrument.symbol
          AND NOT steps.too_late
          AND (steps.record = 'synthetic') = asked.synthetic
        OFFSET 0
    ) AS said
    WHERE known.at > asked.after
      AND known.at <= asked.upto
      AND bar.known_at <= bar.closed_at + CAST(:void_after AS interval)
      AND candlecast.void_reason(
          coalesce(before.old_state, bar.state), coalesce(before.old_source, bar.source), said.feed
      ) IS NULL
) AS label;
