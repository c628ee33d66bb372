"""The read API: serves the newest row from a cache, and never calls a model."""
