-- report_shifts: where each model's median stood before a release and after it.
--
-- One row     one release, model, interval, record, symbol and step with a forecast within three days on either side
-- Parameters  released_at timestamptz[]; steps int[]; as_of timestamptz
-- Read by     candlecast.store.reports
-- Reads forecast_steps once: grows with the record.
--
-- drift_before, drift_after: (p50 - last close) / (last close * sigma of a bar), from the last forecast that was issued
-- before the release and the first one issued at it or later. The raw median is the served one: no correction moves it.

WITH asked AS (
    SELECT released_at FROM unnest(CAST(:released_at AS timestamptz[])) AS asked (released_at)
),

near AS (
    SELECT
        asked.released_at, said.interval, said.model_name, said.record, said.symbol, said.step, said.issued_at,
        (said.fan[6] - said.last_close) / nullif(abs(said.last_close) * said.scale, 0) AS drift
    FROM asked
    INNER JOIN candlecast.forecast_steps AS said
        ON said.issued_at > asked.released_at - interval '3 days'
        AND said.issued_at < asked.released_at + interval '3 days'
    WHERE said.step = ANY(CAST(:steps AS integer[])) AND said.issued_at <= CAST(:as_of AS timestamptz)
)

SELECT
    near.released_at, near.interval, near.model_name, near.record, near.symbol, instruments.asset_class, near.step,
    (array_agg(near.drift ORDER BY near.issued_at DESC) FILTER (WHERE near.issued_at < near.released_at))[1]
        AS drift_before,
    (array_agg(near.drift ORDER BY near.issued_at) FILTER (WHERE near.issued_at >= near.released_at))[1]
        AS drift_after
FROM near
INNER JOIN candlecast.instruments ON instruments.symbol = near.symbol
GROUP BY
    near.released_at, near.interval, near.model_name, near.record, near.symbol, instruments.asset_class, near.step;
