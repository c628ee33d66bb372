"""One GPU, one process: forecasts over HTTP, one at a time."""
