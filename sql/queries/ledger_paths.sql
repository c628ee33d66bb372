-- ledger_paths: the stored sample paths held against what their sealed rows remember of them.
--
-- One row     one chain: how many paths are there and agree, how many are gone, and the first that differ
-- Parameters  model_name text, interval text
-- Read by     candlecast.store.ledger
--
-- Paths may be removed by retention; a row then still says that it had some. Paths of a row that had none, and
-- bytes, codec or shape that do not give the remembered hash, are changes.

SELECT
    count(*) FILTER (WHERE stored.prediction_id IS NOT NULL AND NOT checked.differs) AS n_agree,
    count(*) FILTER (WHERE stored.prediction_id IS NULL AND sealed.paths_hash IS NOT NULL) AS n_absent,
    min(sealed.chain_seq) FILTER (WHERE checked.differs) AS first_broken
FROM candlecast.ml_predictions AS sealed
LEFT JOIN candlecast.prediction_paths AS stored ON stored.prediction_id = sealed.prediction_id
CROSS JOIN LATERAL (
    SELECT stored.prediction_id IS NOT NULL AND sealed.paths_hash IS DISTINCT FROM sha256(
        convert_to(stored.codec, 'UTF8') || int4send(stored.n_paths) || int4send(stored.horizon) || stored.closes
    ) AS differs
) AS checked
WHERE sealed.model_name = :model_name AND sealed.interval = :interval;
