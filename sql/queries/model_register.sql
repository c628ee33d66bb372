-- model_register: remember a model's exact version the first time it speaks; a version that is known stays as it is.
--
-- Parameters  model_name text, version text, description text, takes_events bool
-- Read by     candlecast.store.models.register_model

INSERT INTO candlecast.model_versions (model_name, version, description, takes_events)
VALUES (:model_name, :version, :description, :takes_events)
ON CONFLICT (model_name, version) DO NOTHING;
