-- calibration_begin: where to go on from, at each of several moments.
--
-- One row     one moment: its place in what was asked, the newest snapshot of by then (NULL: none), and when the first
--             judged target of the model closes (NULL: it never spoke)
-- Parameters  interval text, model_name text; synthetic boolean[] and moment timestamptz[], one element a moment
-- Read by     candlecast.store.calibration
-- Index       calibration_states_pkey, forecast_steps_target_idx

SELECT
    CAST(asked.place AS integer) - 1 AS place,
    newest.known_until,
    newest.state,
    (
        SELECT min(said.target_at)
        FROM candlecast.forecast_steps AS said
        WHERE said.interval = :interval AND said.model_name = :model_name
    ) AS first_target_at
FROM unnest(CAST(:synthetic AS boolean []), CAST(:moment AS timestamptz []))
    WITH ORDINALITY AS asked (synthetic, moment, place)
LEFT JOIN LATERAL (
    SELECT states.known_until, states.state
    FROM candlecast.calibration_states AS states
    WHERE states.interval = :interval
      AND states.model_name = :model_name
      AND states.synthetic = asked.synthetic
      AND states.known_until <= asked.moment
    ORDER BY states.known_until DESC
    LIMIT 1
) AS newest ON true
ORDER BY asked.place;
