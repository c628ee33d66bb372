"""The shapes of the answers, for the OpenAPI document. Answers are not built from these: they are cached bytes."""
