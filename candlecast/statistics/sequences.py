"""Skill that may be looked at after every day: e-values and confidence sequences from sums over days.

A page that is watched tests again every hour, and an interval of 95 % that is looked at for a year excludes the truth
far oftener than once in twenty. An e-process is evidence that may be looked at for ever: if there is no skill, the
chance that it *ever* reaches 1/a is at most a (Ville). A confidence sequence holds every skill whose e-value is still
under 1/a.

How it is made, after each day, of the sums L (loss) and B (baseline's loss) of that day and the days before:

1. skill s = 1 - sum L / sum B, residuals r = (1 - s) B - L of each day (the ratio to first order; they add up to 0);
2. variance of sum r: the largest of three, because a variance that is too low makes false badges. Bartlett's over
   1 + 2 overlap days, raised by what it misses of scores that overlap evenly; that of weeks that follow an
   autoregression; and, where scores do not span days, that of days that do, their memory one standard error longer
   than it looks. The last two are for skill that comes and goes for days;
3. t = (sum B - sum L) / its standard deviation, worth n observations: days over the larger of the sum of squared
   weights and the inflation of the variance. Brought nearer to 0 where the days are skewed so that t is too large: a
   forecaster that gains a little on most days and loses much on a few looks better than it is;
4. the Bayes factor of the t-test with a normal prior of variance 1 / `PRIOR` for mean / sd. For independent normal
   days it is an exact e-process at every n, the standard deviation unknown; for others it holds as sums of days become
   normal, which is why nothing is said before a record has some length (candlecast.verdicts).

"No skill" means here that the expected differences of the days so far, each given its past, average 0 (Choe and
Ramdas). An advantage that lasts for weeks and then turns is skill while it lasts, and may earn a badge.

Axes: the last is days, in order; any others are cells. A day without pairs has L = B = 0 and counts for nothing.

References
----------
Lai (1976), On confidence sequences, Annals of Statistics 4; Wang and Ramdas (2025), Anytime-valid t-tests and
confidence sequences for Gaussian means with unknown variance, Sequential Analysis 44: the e-process and its inversion.
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and asymptotic confidence
sequences, Annals of Statistics 52: why it may stand for sums that are not normal.
Choe and Ramdas (2024), Comparing sequential forecasters, Operations Research 72: e-processes of score differences.
Hall (1992), On the removal of skewness by transformation, JRSS B 54: step 3.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from candlecast.statistics.overlap import INFLATION_PER_STEP

Floats = NDArray[np.float64]

# Observations that the prior is worth: narrowest for an e-value of 7,200 (one of 360 cells at 5 %) after 60 of them.
PRIOR: Final = 3.0

WEEK: Final = 7  # days
LONGEST_MEMORY: Final = 0.9  # of the autoregressions; above it a record has no mean to speak of
ALLOWANCE: Final = 1.0  # standard errors by which skewness, and memory from day to day, may be worse than they look

POWER_80: Final = 0.8416212335729143  # 80 % quantile of the normal distribution
CENTURY: Final = 36525.0  # days


@dataclass(frozen=True, slots=True, eq=False)
class SkillSequence:
    """What was known after each day: [..., T] each.

    skill : 1 - sum of losses / sum of the baseline's, NaN before the baseline lost anything
    se : standard error of `skill`, NaN before there are two observations
    skewness : of the days' residuals, NaN where `se` is
    n_days : days with pairs so far
    n_eff : what they are worth in independent outcomes by overlap alone, were all instruments one
    n_obs : what they are worth in step 3, by overlap and by what was measured; never more than `n_days`
    log_better, log_worse : logarithms of the e-values against "no better" and "no worse", 0 where nothing is known
    """

    skill: Floats
    se: Floats
    skewness: Floats
    n_days: Floats
    n_eff: Floats
    n_obs: Floats
    log_better: Floats
    log_worse: Floats

    @property
    def log_e(self) -> Floats:
        """Logarithm of the e-value against "no difference": of the mean of both sides."""
        mean: Floats = np.logaddexp(self.log_better, self.log_worse) - math.log(2.0)
        return mean

    def interval(self, level: float = 0.05) -> tuple[Floats, Floats]:
        """Ends of the confidence sequence: it leaves out 0 where `log_e` exceeds log(1 / level); NaN where `se` is."""
        reach = critical_t(self.n_obs, level)
        low = self.skill - _before_skewness(reach, self.skewness, self.n_obs) * self.se
        high = self.skill + _before_skewness(reach, -self.skewness, self.n_obs) * self.se
        return low, high


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
    active = (base > 0.0).astype(np.float64)
    total, lead, n_days = (np.cumsum(x, axis=-1) for x in (base, gap, active))
    spread, n_obs = np.empty_like(base), np.empty_like(base)
    with np.errstate(divide="ignore", invalid="ignore"):
        skill = np.where(total > 0.0, lead / total, np.nan)
        for days in np.unique(overlaps):
            k = overlaps == days
            spread[k], n_obs[k] = _spread(gap[k], base[k], skill[k], active[k], float(days))
        # Where all days have one ratio, what is left of the residuals is rounding.
        known = (n_obs > 1.5) & (spread > 1e-6 * np.sqrt(np.cumsum(gap**2, axis=-1)))
        n_obs = np.where(known, n_obs, 0.0)
        skewness = np.where(known, _skewness(gap, base, skill, n_days), np.nan)
        t = np.where(known, lead / spread, 0.0)
        t = np.where(t > 0.0, _after_skewness(t, skewness, n_obs), -_after_skewness(-t, -skewness, n_obs))
        se = np.where(known, spread / total, np.nan)
    better, worse = log_e_values(np.where(known, t, 0.0), n_obs)
    return SkillSequence(skill, se, skewness, n_days, _effective(active, overlaps), n_obs, better, worse)


def _effective(active: Floats, overlap: Floats) -> Floats:
    n_days = np.cumsum(active, axis=-1)
    since_first = np.cumsum(n_days > 0.0, axis=-1)
    # Where weekends have no pairs, scores of so many days on the calendar overlap on fewer that have.
    span = 1.0 + overlap[..., None] * n_days / np.maximum(since_first, 1)
    worth: Floats = n_days / np.maximum(1.0, INFLATION_PER_STEP * span)
    return worth


def _spread(gap: Floats, base: Floats, skill: Floats, active: Floats, overlap: float) -> tuple[Floats, Floats]:
    """Standard deviation of the sum of residuals after each day, and the observations that it is worth."""
    n_days = np.cumsum(active, axis=-1)
    bandwidth = 1.0 + 2.0 * overlap
    missed = overlap / (3.0 * bandwidth)  # what Bartlett's weights miss of an even fall to 0 at `overlap`
    # Sums over pairs of days: those of one day, one day apart, in one week of seven that overlap, and a week apart.
    day, next_day, week, next_week, overlapping, squares = (np.zeros_like(gap) for _ in range(6))
    for lag in range(min(max(2 * WEEK, math.ceil(bandwidth)), gap.shape[-1])):
        products = _products(gap, base, skill, lag)
        twice = 1.0 if lag == 0 else 2.0
        if lag == 0:
            day += products
        elif lag == 1:
            next_day[..., lag:] += products
        week[..., lag:] += twice * max(0.0, 1.0 - lag / WEEK) * products
        next_week[..., lag:] += max(0.0, 1.0 - abs(lag - WEEK) / WEEK) * products
        weight = max(0.0, 1.0 - lag / bandwidth)
        overlapping[..., lag:] += twice * weight * products / (1.0 - missed)
        if weight > 0.0:
            both = active[..., lag:] * active[..., : gap.shape[-1] - lag]
            squares[..., lag:] += twice * weight**2 * np.cumsum(both, axis=-1)
    variance = np.maximum(overlapping, _autoregressive(week, next_week))  # weeks are too few for an allowance
    if overlap < 1.0:  # else days share what they were judged on, and Bartlett's weights know
        variance = np.maximum(variance, _autoregressive(day, next_day, ALLOWANCE / np.sqrt(n_days)))
    n_obs = n_days * np.minimum(n_days / squares, day / variance)
    return np.sqrt(variance * n_obs / np.maximum(n_obs - 1.0, 0.0)), n_obs


def _products(gap: Floats, base: Floats, skill: Floats, lag: int) -> Floats:
    """[..., T - lag] sum of r_d r_(d - lag) over the days so far, where r = gap - skill base."""
    until = gap.shape[-1] - lag
    g, b, s = gap[..., lag:], base[..., lag:], skill[..., lag:]
    g_then, b_then = gap[..., :until], base[..., :until]
    products: Floats = np.cumsum(g * g_then, axis=-1)
    products -= s * np.cumsum(g * b_then + b * g_then, axis=-1)
    products += s**2 * np.cumsum(b * b_then, axis=-1)
    return products


def _autoregressive(variance: Floats, covariance: Floats, allowance: ArrayLike = 0.0) -> Floats:
    """Variance of the sum of parts that follow an autoregression: theirs, and their covariance with the next part."""
    memory = np.clip(covariance / variance + np.asarray(allowance), 0.0, LONGEST_MEMORY)
    inflated: Floats = variance * (1.0 + memory) / (1.0 - memory)
    return inflated


def _skewness(gap: Floats, base: Floats, skill: Floats, n_days: Floats) -> Floats:
    square = _products(gap, base, skill, 0)
    cube = np.cumsum(gap**3, axis=-1) - 3.0 * skill * np.cumsum(gap**2 * base, axis=-1)
    cube += 3.0 * skill**2 * np.cumsum(gap * base**2, axis=-1) - skill**3 * np.cumsum(base**3, axis=-1)
    skewness: Floats = np.sqrt(n_days) * cube / np.maximum(square, 0.0) ** 1.5
    return skewness


def _after_skewness(t: Floats, skewness: Floats, n_obs: Floats) -> Floats:
    """Hall's cubic of t >= 0, where skewness makes t too large; t where it does not."""
    bend = _bend(skewness, n_obs)
    return np.minimum(t, ((1.0 + bend * t / 3.0) ** 3 - 1.0) / bend)


def _before_skewness(t: Floats, skewness: Floats, n_obs: Floats) -> Floats:
    """The t >= 0 that `_after_skewness` makes this of."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = _bend(skewness, n_obs)
        return np.maximum(t, 3.0 * (np.cbrt(1.0 + bend * t) - 1.0) / bend)


def _bend(skewness: Floats, n_obs: Floats) -> Floats:
    return np.minimum(skewness - ALLOWANCE * np.sqrt(6.0 / n_obs), -1e-6) / np.sqrt(n_obs)


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
    tail = np.maximum(stdtr(n, -np.abs(centre)), 1e-300)
    likely, unlikely = two_sided + np.log1p(-tail) + math.log(2.0), two_sided + np.log(tail) + math.log(2.0)
    better, worse = np.where(centre > 0.0, (likely, unlikely), (unlikely, likely))
    return np.where(known, better, 0.0), np.where(known, worse, 0.0)


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

    The standard error falls with the root of the days, observations grow with them. Infinite beyond a century.
    """
    skill, se, n_days, n_obs = (np.asarray(x, dtype=np.float64) for x in (skill, se, n_days, n_obs))
    days = np.geomspace(2.0, CENTURY, 4000)
    worth = days * (n_obs / n_days)[..., None]
    expected = np.abs(skill / se)[..., None] * np.sqrt(days / n_days[..., None])
    enough = expected - POWER_80 >= critical_t(worth, level, prior)
    return np.where(enough.any(axis=-1), days[enough.argmax(axis=-1)], np.inf)
