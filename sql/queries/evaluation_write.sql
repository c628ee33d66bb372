-- evaluation_write: put one evaluation on record; the one before it was deleted in the same transaction.
--
-- Parameters  record text, interval text, as_of timestamptz, n_models int, body text: a JSON object
-- Read by     candlecast.store.evaluations

INSERT INTO candlecast.evaluations (record, interval, as_of, n_models, body)
VALUES (:record, :interval, :as_of, :n_models, :body);
