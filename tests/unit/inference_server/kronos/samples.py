"""Whether two sets of sample paths come from one distribution."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

QUANTUM = 0.01
"""Of normalised bars: two programs decode the same ids into bars 1e-6 apart, and such a tie has to stay one."""


def smallest_p(some: list[NDArray[np.floating]], others: list[NDArray[np.floating]]) -> float:
    """The smallest p of Kolmogorov-Smirnov's two-sample test per seed, step and column, after Holm's correction.

    Each entry [S, P, columns] holds the paths of one seed. Holm (1979) multiplies the smallest of m values by m, the
    next by m − 1 and so on; the smallest corrected one is what decides whether any of the m is rejected.
    """
    values = [
        ks_2samp(one[:, step, column], other[:, step, column], method="asymp").pvalue
        for one, other in zip(_rounded(some), _rounded(others), strict=True)
        for step in range(one.shape[1])
        for column in range(one.shape[2])
    ]
    return float(min(1.0, min(values) * len(values)))


def _rounded(paths: list[NDArray[np.floating]]) -> list[NDArray[np.floating]]:
    return [np.round(each / QUANTUM) for each in paths]
