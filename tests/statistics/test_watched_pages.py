"""Pages of 360 cells that somebody looks at every hour: what they show, they may show. By candlecast.verdicts itself.

Sums of whole days come in once a day, so an hourly watcher sees what a daily one sees.
"""

import numpy as np
import pytest

from candlecast.verdicts import watched
from tests.statistics.watched_worlds import MODELS, STEPS, pooled_skill, zero_skill

pytestmark = pytest.mark.slow


def test_a_year_without_skill_shows_a_false_badge_in_at_most_one_world_of_twenty() -> None:
    worlds, false = 100, 0
    losses, bases = 0.0, 0.0
    for seed in range(worlds):
        loss, base, overlap = zero_skill(seed, n_days=365)
        assert loss.shape == (360, 365)
        false += bool(watched(loss, base, overlap).any())
        losses = losses + loss.reshape(len(MODELS), -1, len(STEPS), 365).sum(axis=(1, 3))
        bases = bases + base.reshape(len(MODELS), -1, len(STEPS), 365).sum(axis=(1, 3))

    # The worlds are what they say: all years together, a cell in one year being known to 1 % or so, show no skill.
    assert np.abs(1.0 - losses / bases).max() < 0.002
    assert false <= worlds // 20


def test_one_percent_of_skill_over_fifty_series_is_found_within_sixty_days_among_360_cells() -> None:
    worlds, found, skills = 60, 0, []
    for seed in range(worlds):
        loss, base, overlap = zero_skill(1000 + seed, n_days=60)
        loss, base = loss.copy(), base.copy()
        loss[0], base[0] = pooled_skill(seed, n_days=60)
        found += bool((watched(loss, base, overlap)[0] == 1).any())
        skills.append(1.0 - loss[0].sum() / base[0].sum())

    assert 0.009 < np.mean(skills) <= 0.0105
    assert found >= 0.8 * worlds


def test_days_that_gain_a_little_often_and_lose_much_seldom_make_no_badges() -> None:
    """Sums of days have skewness -1.4, about that of a narrow fan over 120 bars; a plain t shows a third false."""
    worlds, false = 60, 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        common, own = rng.exponential(size=(30, 365)), rng.exponential(size=(360, 365))
        gain = 1.0 - (np.repeat(common, 12, axis=0) + own) / 2.0
        base = np.full((360, 365), 24.0)
        false += bool(watched(base - 0.1 * gain, base, np.zeros(360)).any())

    assert false <= worlds // 20


def test_jumps_that_come_in_clusters_make_no_badges() -> None:
    """Student's t with 3 degrees of freedom, scaled by a volatility that doubles and halves for weeks."""
    worlds, false = 40, 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        volatility = np.exp(np.cumsum(rng.normal(0.0, 0.1, (30, 365)), axis=1))
        common, own = rng.standard_t(3, (30, 365)), rng.standard_t(3, (360, 365))
        gain = np.repeat(volatility, 12, axis=0) * (np.repeat(common, 12, axis=0) + own)
        base = np.full((360, 365), 24.0)
        false += bool(watched(base - 0.1 * gain, base, np.zeros(360)).any())

    assert false <= worlds // 20
