"""Paths for a fan that has none of its own: their ranks are borrowed from a model that draws whole paths.

A fan says how likely each step is by itself, not which steps go together. Here a borrowed path keeps its order
among all paths at every step, and takes the values of the fan (Schefzik, Thorarinsdottir and Gneiting 2013, Uncertainty
quantification by ensemble copula coupling, with the law of the lender in the place of its finite ensemble, so that no
path depends on how many are drawn).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def carried_over(paths: Floats, lender: Floats, fan: Floats) -> Floats:
    """[S, H] `paths` moved to where `fan` [H, 11] has what `lender` [H, 11], the fan they were drawn from, has there.

    Between levels linear; beyond the outermost, distances from that level grow as its distance from the median does.
    """
    moved = np.empty_like(paths)
    middle = lender.shape[1] // 2
    for step in range(paths.shape[1]):
        at, old, new = paths[:, step], lender[step], fan[step]
        inner = np.interp(at, old, new)
        for end, beyond in ((0, at < old[0]), (-1, at > old[-1])):
            reach = old[end] - old[middle]
            factor = (new[end] - new[middle]) / reach if reach != 0.0 else 1.0
            inner = np.where(beyond, new[end] + (at - old[end]) * factor, inner)
        moved[:, step] = inner
    return moved
