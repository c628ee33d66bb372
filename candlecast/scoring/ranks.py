"""Where the outcome fell among what was forecast: ranks, and the chance of a rise.

Axes: N pairs, M sample paths, Q the 11 levels of a fan.

References
----------
Gneiting, Balabdaoui and Raftery (2007), Probabilistic forecasts, calibration and sharpness, JRSS B 69: the PIT.
Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators, OOPSLA: the mixing of bits.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candlecast.forecasts import LEVELS

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
BELOW: Final = np.concatenate([[0.0], LEVELS])  # [Q + 1] level under each gap of a fan
ABOVE: Final = np.concatenate([LEVELS, [1.0]])  # [Q + 1] and over it


def mixed(words: Words) -> Words:
    """[N] the bits of each word, mixed by SplitMix64: every bit of the result depends on every bit given."""
    z = words + GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniforms(ids: NDArray[np.void], steps: NDArray[np.integer[Any]]) -> Floats:
    """[N] a number in [0, 1) for each (prediction_id, step), the same every time; ids are 16 bytes each (`V16`).

    It stands for the coin that a randomised rank needs. Nobody can choose it: the id is a hash of what was forecast.
    """
    halves = np.ascontiguousarray(ids).view(">u8").astype(np.uint64).reshape(-1, 2)
    bits = mixed(halves[:, 0] ^ mixed(halves[:, 1] ^ mixed(steps.astype(np.uint64))))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def pit_of_paths(paths: NDArray[np.float32], outcome: Floats, v: Floats) -> Floats:
    """[N] (rank + v) / (M + 1), uniform when outcome and paths [N, M] are of one law; among ties any rank is as good.

    The outcome is rounded like the paths: what they could not tell apart is a tie.
    """
    y = outcome.astype(np.float32)[:, None]
    less = np.count_nonzero(paths < y, axis=1)
    ties = np.count_nonzero(paths == y, axis=1)
    u: Floats = (less + v * (ties + 1)) / (paths.shape[1] + 1)
    return u


def pit_of_fan(fan: Floats, outcome: Floats, v: Floats) -> Floats:
    """[N] the same from a fan [N, Q]: `v` of the way through the gap between the levels around the outcome."""
    low = BELOW[np.count_nonzero(fan < outcome[:, None], axis=1)]
    high = ABOVE[np.count_nonzero(fan <= outcome[:, None], axis=1)]
    u: Floats = low + v * (high - low)
    return u


def p_up_of_paths(paths: NDArray[np.float32], last_close: Floats) -> Floats:
    """[N] share of the paths [N, M] above the last close; a path exactly there counts half."""
    last = last_close.astype(np.float32)[:, None]
    up = np.count_nonzero(paths > last, axis=1) + 0.5 * np.count_nonzero(paths == last, axis=1)
    share: Floats = up / paths.shape[1]
    return share


def p_up_of_fan(returns: Floats) -> Floats:
    """[N] probability above a return of 0 by a fan's returns [N, Q]: linear between the levels, held beyond them.

    Levels that lie exactly at 0 count half, like paths.
    """
    levels, rows = np.asarray(LEVELS), np.arange(len(returns))
    under = np.count_nonzero(returns < 0.0, axis=1)  # the first level at 0 or above
    upto = np.count_nonzero(returns <= 0.0, axis=1)  # the first level above 0
    left, right = np.maximum(under - 1, 0), np.minimum(under, len(levels) - 1)
    a, b = returns[rows, left], returns[rows, right]
    share = np.divide(-a, b - a, out=np.zeros_like(a), where=b > a)
    between = levels[left] + np.clip(share, 0.0, 1.0) * (levels[right] - levels[left])
    at_zero = 0.5 * (levels[np.minimum(under, len(levels) - 1)] + levels[upto - 1])
    p_up: Floats = 1.0 - np.where(upto > under, at_zero, between)
    return p_up
