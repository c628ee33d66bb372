"""Bands that keep what they promise: corrected at issue by what the market has answered so far."""
