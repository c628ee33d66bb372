"""Worlds in which nobody knows anything: prices walk at random, and every signal is zero-skill.

Returns per bar are independent Student's t with 5 degrees of freedom, unit variance; series share a common part.
Axes: W worlds, N forecasts issued on every bar, S series.
"""

from dataclasses import dataclass

import numpy as np
import scoringrules
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOOKBACK = 24  # bars of the momentum signal


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """[W, N, S] momentum's direction, the return that came over the horizon, and one bar's return after issue."""

    step: int
    signal: Floats
    outcome: Floats
    bar: Floats

    @property
    def hits(self) -> Floats:
        return (self.signal == np.sign(self.outcome)).astype(np.float64)

    def losses(self, belief: float = 0.15) -> tuple[Floats, Floats]:
        """[W, N, S] CRPS of a normal forecast leaning with momentum, and of one leaning as much against it.

        By symmetry neither is better. In sigmas over the step, with `belief` the lean in the same unit.
        """
        sigma = np.sqrt(self.step)
        y = self.outcome / sigma
        lean = belief * self.signal
        return scoringrules.crps_normal(y, lean, 1.0), scoringrules.crps_normal(y, -lean, 1.0)


def zero_skill(
    rng: np.random.Generator, n_worlds: int, n: int, step: int, n_series: int = 1, drift: float = 0.0
) -> World:
    n_bars = n + step + LOOKBACK
    returns = rng.standard_t(5, (n_worlds, n_bars, n_series))
    if n_series > 1:
        returns = np.sqrt(0.6) * rng.standard_t(5, (n_worlds, n_bars, 1)) + np.sqrt(0.4) * returns
    returns = returns / np.sqrt(5 / 3) + drift
    price = np.concatenate([np.zeros((n_worlds, 1, n_series)), np.cumsum(returns, axis=1)], axis=1)
    now, past, then = price[:, LOOKBACK:-step], price[:, : -step - LOOKBACK], price[:, LOOKBACK + step :]
    return World(
        step=step,
        signal=np.sign(now - past)[:, :n],
        outcome=(then - now)[:, :n],
        bar=returns[:, LOOKBACK : LOOKBACK + n],
    )


def day_sums(values: Floats, per_day: int) -> Floats:
    """[W, T] sums over the series and over `per_day` forecasts each."""
    pooled = values.sum(axis=2)
    return pooled.reshape(len(pooled), -1, per_day).sum(axis=2)


def with_weekends(sums: Floats) -> Floats:
    """[W, T] of trading days, five a week, as [W, calendar days] with 0 at weekends."""
    n_worlds, n_days = sums.shape
    calendar = np.zeros((n_worlds, -(-n_days // 5) * 7))
    calendar[:, np.flatnonzero(np.arange(calendar.shape[1]) % 7 < 5)[:n_days]] = sums
    return calendar


def rate(rejected: list[bool]) -> float:
    return float(np.mean(rejected))
