"""The routes behind the early return: they check what was asked, and answer from the same service."""
