"""Skill that may be looked at after every day: e-values and confidence sequences from sums over days.

A page that is watched tests again every hour, and an interval of 95 % that is looked at for a year excludes the truth
far oftener than once in twenty. An e-process is evidence that may be looked at for ever: if there is no skill, the
chance that it *ever* reaches 1/a is at most a (Ville). A confidence sequence holds every skill whose e-value is still
under 1/a.

How it is made, after each day, of the sums L (loss) and B (baseline's loss) of that day and the days before:

1. skill s = 1 - sum L / sum B, residuals r = (1 - s) B - L of each day (the ratio to first order; they add up to 0);
2. variance of sum r by Bartlett's weights over `1 + 2 overlap` days, raised by what those weights miss of scores that
   overlap evenly, and never less than the same over `PERSISTENCE` days: skill itself comes and goes for days;
3. t = (sum B - sum L) / its standard deviation, worth n observations, n = days / sum of squared weights;
4. the Bayes factor of the t-test with a normal prior of 1 / `PRIOR` for (mean / sd)^2. For independent normal days it
   is an exact e-process at every n, the standard deviation unknown; for others it holds as the days' sums become
   normal, which is why nothing is said before a record has some length (candlecast.verdicts).

Axes: the last is days, in order; any others are cells. A day without pairs has L = B = 0 and counts for nothing.

References
----------
Lai (1976), On confidence sequences, Annals of Statistics 4; Wang and Ramdas (2025), Anytime-valid t-tests and
confidence sequences for Gaussian means with unknown variance, Sequential Analysis 44: the e-process and its inversion.
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and asymptotic confidence
sequences, Annals of Statistics 52: why it may stand for sums that are not normal.
Choe and Ramdas (2024), Comparing sequential forecasters, Operations Research 72: e-processes of score differences.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

Floats = NDArray[np.float64]

# Observations that the prior is worth: narrowest for an e-value of 7,200 (one of 360 cells at 5 %) after 60 of them.
PRIOR: Final = 3.0

PERSISTENCE: Final = 5.0  # days over which the variance looks for skill that comes and goes, whatever the overlap

POWER_80: Final = 0.8416212335729143  # 80 % quantile of the normal distribution
LONGEST: Final = 36525.0  # days that are worth counting: a century


@dataclass(frozen=True, slots=True, eq=False)
class SkillSequence:
    """What was known after each day: [..., T] each.

    skill : 1 - sum of losses / sum of the baseline's, NaN before the baseline lost anything
    se : standard error of `skill`, NaN before there are two observations
    n_days : days with pairs so far
    n_obs : independent observations that `se` is worth
    log_better, log_worse : log of the e-values against "no better" and "no worse", 0 where nothing is known
    """

    skill: Floats
    se: Floats
    n_days: Floats
    n_obs: Floats
    log_better: Floats
    log_worse: Floats

    @property
    def log_e(self) -> Floats:
        """Logarithm of the e-value against "no difference": of the mean of both sides."""
        mean: Floats = np.logaddexp(self.log_better, self.log_worse) - math.log(2.0)
        return mean

    def interval(self, level: float = 0.05) -> tuple[Floats, Floats]:
        """Ends of the confidence sequence: the skills whose e-value is under 1 / `level`; NaN where `se` is."""
        half = critical_t(self.n_obs, level) * self.se
        return self.skill - half, self.skill + half


def skill_sequence(loss: ArrayLike, base: ArrayLike, overlap: ArrayLike) -> SkillSequence:
    """Skill and evidence after each day, from the sums of each day [..., T].

    Parameters
    ----------
    loss, base : losses of a model and of the baseline on the pairs that both have, 0 on a day without pairs
    overlap : [...] days over which scores share bars, (step - 1) / bars per day; 0 where a score lies within one bar
    """
    base = np.asarray(base, dtype=np.float64)
    gap = base - np.asarray(loss, dtype=np.float64)
    overlaps = np.broadcast_to(np.asarray(overlap, dtype=np.float64), base.shape[:-1])
    total = np.cumsum(base, axis=-1)
    lead = np.cumsum(gap, axis=-1)
    n_days = np.cumsum(base > 0.0, axis=-1, dtype=np.float64)
    spread, n_obs = np.empty_like(base), np.empty_like(base)
    with np.errstate(divide="ignore", invalid="ignore"):
        skill = np.where(total > 0.0, lead / total, np.nan)
        for days in np.unique(overlaps):
            k = overlaps == days
            spread[k], n_obs[k] = _spread(gap[k], base[k], skill[k], n_days[k], float(days))
        known = (n_obs > 1.5) & (spread > 0.0)
        t = np.where(known, lead / spread, 0.0)
        se = np.where(known, spread / total, np.nan)
    better, worse = log_e_values(t, np.where(known, n_obs, 0.0))
    return SkillSequence(skill, se, n_days, n_obs, better, worse)


def _spread(gap: Floats, base: Floats, skill: Floats, n_days: Floats, overlap: float) -> tuple[Floats, Floats]:
    """Standard deviation of the sum of residuals after each day, and the observations that it is worth."""
    narrow, inflation = _variance(gap, base, skill, 1.0 + 2.0 * overlap)
    narrow /= 1.0 - overlap / (3.0 * (1.0 + 2.0 * overlap))  # what Bartlett misses of an even fall to 0 at `overlap`
    wide, _ = _variance(gap, base, skill, max(PERSISTENCE, 1.0 + 2.0 * overlap))
    n_obs = n_days / inflation
    return np.sqrt(np.maximum(narrow, wide) * n_obs / np.maximum(n_obs - 1.0, 0.0)), n_obs


def _variance(gap: Floats, base: Floats, skill: Floats, bandwidth: float) -> tuple[Floats, float]:
    """Variance of the sum of residuals after each day by Bartlett's weights, and the sum of their squares."""
    variance = np.zeros_like(gap)
    squares = 0.0
    for lag in range(math.ceil(bandwidth)):
        weight, twice = 1.0 - lag / bandwidth, 1.0 if lag == 0 else 2.0
        squares += twice * weight**2
        until = gap.shape[-1] - lag
        if until <= 0:
            continue
        g, b, s = gap[..., lag:], base[..., lag:], skill[..., lag:]
        g_then, b_then = gap[..., :until], base[..., :until]
        products = np.cumsum(g * g_then, axis=-1)
        products -= s * np.cumsum(g * b_then + b * g_then, axis=-1)
        products += s**2 * np.cumsum(b * b_then, axis=-1)
        variance[..., lag:] += twice * weight * products
    return variance, squares


def log_e_values(t: ArrayLike, n_obs: ArrayLike, prior: float = PRIOR) -> tuple[Floats, Floats]:
    """Logarithms of the e-values against "mean <= 0" and "mean >= 0" of a t statistic worth `n_obs` observations.

    Half-normal priors on mean / sd, of variance 1 / `prior`, the sd integrated out; their mean is the two-sided Bayes
    factor sqrt(p / (n + p)) ((v + t²) / (v + t² p / (n + p)))^(n/2) with v = n - 1. 0 where n_obs is 1 or less.
    """
    t, n = np.asarray(t, dtype=np.float64), np.asarray(n_obs, dtype=np.float64)
    known = n > 1.0
    n = np.where(known, n, 2.0)
    dof, share = n - 1.0, prior / (n + prior)
    square = t**2
    two_sided = 0.5 * np.log(share) + 0.5 * n * (np.log1p(square / dof) - np.log1p(square * share / dof))
    # The posterior of the mean is Student's t with n degrees of freedom.
    centre = t * n / np.sqrt(dof * (n + prior) + square * prior)
    up, down = (np.log(2.0 * np.maximum(stdtr(n, sign * centre), 1e-300)) for sign in (1.0, -1.0))
    return np.where(known, two_sided + up, 0.0), np.where(known, two_sided + down, 0.0)


def critical_t(n_obs: ArrayLike, level: float, prior: float = PRIOR) -> Floats:
    """The |t| at which the two-sided e-value reaches 1 / `level`; infinite while no t can reach it."""
    n = np.asarray(n_obs, dtype=np.float64)
    known = n > 1.0
    n = np.where(known, n, 2.0)
    share = prior / (n + prior)
    growth = np.exp((2.0 / n) * (-math.log(level) - 0.5 * np.log(share)))
    with np.errstate(divide="ignore", invalid="ignore"):
        square = (n - 1.0) * (growth - 1.0) / (1.0 - growth * share)
    return np.where(known & (growth * share < 1.0), np.sqrt(np.maximum(square, 0.0)), np.inf)


def days_to_decision(
    skill: ArrayLike, se: ArrayLike, n_days: ArrayLike, n_obs: ArrayLike, level: float, prior: float = PRIOR
) -> Floats:
    """Length in days of a record of this skill and noise in which four of five have an e-value of 1 / `level`.

    The standard error falls with the root of the days, observations grow with them. Infinite beyond `LONGEST`.
    """
    skill, se, n_days, n_obs = (np.asarray(x, dtype=np.float64) for x in (skill, se, n_days, n_obs))
    days = np.geomspace(2.0, LONGEST, 4000)
    worth = days * (n_obs / n_days)[..., None]
    expected = np.abs(skill / se)[..., None] * np.sqrt(days / n_days[..., None])
    enough = expected - POWER_80 >= critical_t(worth, level, prior)
    return np.where(enough.any(axis=-1), days[enough.argmax(axis=-1)], np.inf)
