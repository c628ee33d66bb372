"""Statistics of scores: what a difference of losses may be taken to mean."""
