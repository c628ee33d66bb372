"""Score whole paths: whether the steps of a forecast hang together as those of the market did.

Axes: N forecasts, P judged steps, M sample paths. Each step's return is in sigmas times the root of the step, so that
the longest does not decide alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candlecast.scoring.losses import fair_energy_score, fair_variogram_score
from candlecast.scoring.units import Unit, unit

Floats = NDArray[np.float64]
Paths = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PathSets:
    """N forecasts judged at the same P steps by M paths each.

    steps : [P] rising
    last_close, scale : [N] as in `Pairs`
    paths, calibrated_paths : [N, P, M] closes at the steps, as the model gave them and as served; M of 2 or more
    outcome : [N, P] closes of the target bars
    """

    steps: NDArray[np.int64]
    last_close: Floats
    scale: Floats
    paths: Paths
    calibrated_paths: Paths
    outcome: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PathScores:
    """[N] losses over the vector of steps; the variogram score has p = 0.5. All fair: unbiased for any M."""

    energy: Floats
    calibrated_energy: Floats
    variogram: Floats
    calibrated_variogram: Floats


def score_path_sets(sets: PathSets) -> PathScores:
    """Energy and variogram score of N sets of paths, of what the model gave and of what was served.

    Raises
    ------
    ValueError : fewer than 2 paths, a scale that is not above 0, or a value that is not finite.
    """
    n, _, m = sets.paths.shape
    finite = np.isfinite(sets.last_close) & np.isfinite(sets.scale) & (sets.scale > 0.0)
    for values in (sets.paths, sets.calibrated_paths, sets.outcome):
        finite &= np.isfinite(values).reshape(n, -1).all(axis=1)
    if m < 2 or not finite.all():
        raise ValueError(
            f"{int((~finite).sum())} of {n} sets of {m} paths have a scale of 0 or a value that is not finite; "
            "2 paths are needed"
        )
    positive = sets.last_close > 0.0
    for paths in (sets.paths, sets.calibrated_paths):
        positive &= paths.reshape(n, -1).min(axis=1) > 0.0
    measure = unit(sets.last_close, sets.scale, positive, sets.outcome.min(axis=1))
    outcome = _scaled(measure, sets.outcome[:, :, None], sets.steps)[:, :, 0]
    raw = _scaled(measure, sets.paths, sets.steps)
    same = np.array_equal(sets.paths, sets.calibrated_paths)
    served = raw if same else _scaled(measure, sets.calibrated_paths, sets.steps)
    energy, variogram = fair_energy_score(raw, outcome), fair_variogram_score(raw, outcome)
    return PathScores(
        energy=energy,
        calibrated_energy=energy if same else fair_energy_score(served, outcome),
        variogram=variogram,
        calibrated_variogram=variogram if same else fair_variogram_score(served, outcome),
    )


def _scaled(measure: Unit, prices: NDArray[np.floating], steps: NDArray[np.int64]) -> Floats:
    """[P, N, M] the returns of `prices` [N, P, M] in sigmas times the root of the step."""
    scaled = measure.returns(prices.astype(np.float64)) / (measure.sigma[:, None, None] * np.sqrt(steps)[:, None])
    return np.ascontiguousarray(scaled.transpose(1, 0, 2))
