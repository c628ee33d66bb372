"""The shared core: domain first (numpy and pandas only), then the store and the command line."""
