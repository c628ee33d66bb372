-- calibration_keep: store snapshots of the calibrator, and drop those that nobody needs.
--
-- Parameters  interval text, model_name text; the moments that this run asked about as synthetic boolean[] and
--             moment timestamptz[]; the snapshots to store as stored_synthetic boolean[], known_until timestamptz[] and
--             state text[]
-- Read by     candlecast.store.calibration
--
-- Kept are the snapshots of the moments asked about, which the next run asks about again while a venue is closed, and
-- the newest of each day for eight days, of each month before that. Whatever is dropped can be made again.

WITH stored AS (
    INSERT INTO candlecast.calibration_states (interval, model_name, synthetic, known_until, state)
    SELECT :interval, :model_name, new.synthetic, new.known_until, CAST(new.state AS jsonb)
    FROM unnest(
        CAST(:stored_synthetic AS boolean []), CAST(:known_until AS timestamptz []), CAST(:state AS text [])
    ) AS new (synthetic, known_until, state)
    ON CONFLICT DO NOTHING
),

asked AS (
    SELECT synthetic, moment
    FROM unnest(CAST(:synthetic AS boolean []), CAST(:moment AS timestamptz [])) AS moments (synthetic, moment)
),

known AS (
    SELECT
        synthetic,
        known_until,
        CASE
            WHEN known_until > (SELECT max(moment) FROM asked) - INTERVAL '8 days' THEN 'day'
            ELSE 'month'
        END AS unit
    FROM candlecast.calibration_states
    WHERE interval = :interval AND model_name = :model_name
)

DELETE FROM candlecast.calibration_states AS old
USING known
WHERE old.interval = :interval
  AND old.model_name = :model_name
  AND old.synthetic = known.synthetic
  AND old.known_until = known.known_until
  AND NOT EXISTS (
      SELECT FROM asked WHERE asked.synthetic = known.synthetic AND asked.moment = known.known_until
  )
  AND EXISTS (
      SELECT
      FROM (SELECT synthetic, known_until FROM known UNION ALL SELECT synthetic, moment FROM asked) AS newer
      WHERE newer.synthetic = known.synthetic
        AND newer.known_until > known.known_until
        AND date_trunc(known.unit, newer.known_until, 'UTC') = date_trunc(known.unit, known.known_until, 'UTC')
  );
