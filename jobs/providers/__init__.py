"""Where bars and calendar entries come from."""
